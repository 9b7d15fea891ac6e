import asyncio
import contextlib
import time
from collections.abc import Callable
from pathlib import Path

from tutti.local import Children, ChildSpec, Layout, Phase, Readiness

SECONDS = 15.0


def children(**conducts: str) -> Children:
    """Make stand-ins from names and conducts; a name's first letter tells its phase."""
    phases = {"g": Phase.DOOR, "w": Phase.WORKER, "s": Phase.SINK, "t": Phase.ENGINE}

    def decide(layout: Layout) -> tuple[ChildSpec, ...]:
        return tuple(
            ChildSpec(
                name=name,
                title=f"stand-in {name}",
                phase=phases[name[0]],
                environment=layout.environment,
                module="tests.local.stand_in",
                arguments=(conduct,),
                readiness=Readiness.ENDS_WELL if conduct == "once" else Readiness.SAYS_SO,
                ready_seconds=1.0 if conduct == "mute" else SECONDS,
                stop_seconds=0.3 if conduct == "stubborn" else SECONDS,
            )
            for name, conduct in conducts.items()
        )

    return decide


def alive(pid: int) -> bool:
    """Whether a process runs; one that is dead but not collected by its parent does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


async def until(condition: Callable[[], object], what: str, seconds: float = SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s for: {what}"
        await asyncio.sleep(0.02)


async def until_gone(pids: dict[str, int], seconds: float = SECONDS) -> None:
    with contextlib.suppress(AssertionError):
        await until(lambda: not any(alive(pid) for pid in pids.values()), "the end", seconds)
    left = {name: pid for name, pid in pids.items() if alive(pid)}
    assert not left


def listening_addresses(pid: int) -> list[str]:
    """IPv4 addresses on which a process listens for TCP; an IPv6 one appears as it is in /proc."""
    links = [str(descriptor.readlink()) for descriptor in Path(f"/proc/{pid}/fd").iterdir()]
    inodes = {link.removeprefix("socket:[").removesuffix("]") for link in links if link.startswith("socket:")}
    rows = [
        line.split()
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{table}").read_text(encoding="ascii").splitlines()[1:]
    ]
    hexadecimal = [row[1].partition(":")[0] for row in rows if row[3] == "0A" and row[9] in inodes]
    return [_dotted(address) if len(address) == 8 else address for address in hexadecimal]


def _dotted(address: str) -> str:
    return ".".join(str(byte) for byte in reversed(bytes.fromhex(address)))


def names(pid: int) -> tuple[str, str]:
    """Short name and command line of a process."""
    folder = Path(f"/proc/{pid}")
    command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    return (folder / "comm").read_text(encoding="utf-8").strip(), command
