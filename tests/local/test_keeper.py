"""The keeper of the children, by itself."""

import os
from pathlib import Path

from tutti.local._link import KeeperLink


async def test_children_that_speak_and_end_in_the_same_moment_do_it_no_harm(tmp_path: Path) -> None:
    """A child's last words and its end may be news of one round: its output is closed when they are read."""
    lock = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    keeper = await KeeperLink.open(lock=lock, log=tmp_path / "keeper.log")
    try:
        speakers = [
            keeper.start(
                f"speaker-{number}",
                program=["/bin/echo", "my last words"],
                environment={},
                log=tmp_path / f"speaker-{number}.log",
            )
            for number in range(24)
        ]
        codes = [await speaker.ended() for speaker in speakers]
    finally:
        await keeper.close()
        os.close(lock)
    assert codes == [0] * len(speakers)
    assert (tmp_path / "keeper.log").read_text(encoding="utf-8") == ""
    assert (tmp_path / "speaker-23.log").read_text(encoding="utf-8") == "my last words\n"
