"""Small children for tests of the supervision: `python -m tests.local.stand_in CONDUCT`.

`steady` gets ready and ends on SIGTERM; `stubborn` ignores SIGTERM; `mute` never gets ready; `broken` fails
at once; `brief` gets ready and fails soon after; `parent` gets ready and has a process of its own, whose pid
it logs; `once` does its work and ends well.
"""

import json
import os
import signal
import subprocess
import sys
import time


def main(conduct: str) -> int:
    if conduct == "broken":
        sys.stderr.write("the policy file is gone\n")
        return 3
    if conduct == "once":
        return 0
    if conduct == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    if conduct == "parent":
        own = subprocess.Popen(["sleep", "600"])
        sys.stdout.write(f"own {own.pid}\n")
    if conduct != "mute":
        sys.stdout.write(json.dumps({"ready": conduct, "key": os.environ.get("TUTTI_SIGNING_KEY")}) + "\n")
        sys.stdout.flush()
    if conduct == "brief":
        time.sleep(0.05)
        return 4
    while True:
        signal.pause()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
