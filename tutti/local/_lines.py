"""A file of JSON lines that survives a crash: what was acknowledged is in it, half a line is not."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class LineFile:
    """Appends JSON objects to a file, one a line, each on disk before the call returns. Blocking.

    Args:
        path: The file; made if missing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> Iterator[dict[str, Any]]:
        """Read what earlier runs left, and cut off a line that a crash left unfinished.

        Lines that are no JSON object are skipped: somebody edited the file.

        Raises:
            OSError: The file cannot be read or written.
        """
        with self._path.open("ab+") as file:
            file.seek(0)
            whole = 0
            for line in file:
                if not line.endswith(b"\n"):
                    break
                whole += len(line)
                with contextlib.suppress(ValueError):
                    found = json.loads(line)
                    if isinstance(found, dict):
                        yield found
            file.truncate(whole)

    def append(self, *lines: dict[str, Any]) -> None:
        """Append lines, all or none of them.

        Raises:
            OSError: They could not be kept.
        """
        data = "".join(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n" for line in lines)
        with self._path.open("ab") as file:
            start = file.tell()
            try:
                file.write(data.encode())
                file.flush()
                os.fsync(file.fileno())
            except OSError:
                # Half a line would spoil the next one; a full disk still lets a file get shorter.
                with contextlib.suppress(OSError):
                    os.ftruncate(file.fileno(), start)
                raise
