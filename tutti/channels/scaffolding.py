"""`tutti channel new`: a working channel to start from, as a module of the team's own."""

from __future__ import annotations

import keyword
import re
import sys
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from string import Template
from typing import Final, NamedTuple

from activities.channels import CHANNELS
from domain import Delivery
from tutti.terminal import CommandError

_NAME: Final = re.compile(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*")
_LONGEST_NAME: Final = 30
_TEMPLATES: Final = files("tutti.channels") / "templates"
_ENTRY: Final = """  - name: {name}
    medium: message          # email, sms, call, message, post, web, ads or task
    reversibility: none      # none, partial or full
    recall: false
    task_queue: channel-{name}
    delivery: {delivery}
    schedule_to_start: 2m
    start_to_close: 1m
    heartbeat: 15s
    retry_after: 15m
    needs: nothing           # email, phone or nothing
"""


class Scaffold(NamedTuple):
    """What was made."""

    module: Path
    test: Path
    entry: str
    """Lines for channels.yaml."""


def scaffold(name: str, into: Path, delivery: Delivery) -> Scaffold:
    """Write a channel's module and its test; nothing is overwritten.

    Args:
        name: The channel's name.
        into: Folder of the two files; it is made if need be.
        delivery: Whether its provider tells repetitions apart.

    Raises:
        CommandError: The name will not do, or a file is there already.
        OSError: The folder cannot be written.
    """
    module = _module_of(name)
    words = {
        "name": name,
        "module": module,
        "upper": module.upper(),
        "class_name": "".join(part.capitalize() for part in module.split("_")),
        "calls": "1" if delivery is Delivery.AT_MOST_ONCE else "2",
    }
    module_file, test_file = into / f"{module}.py", into / f"test_{module}.py"
    made = {
        module_file: f"{delivery.value}.py.txt",
        test_file: "test.py.txt",
    }
    for file in made:
        if file.exists():
            raise CommandError(f"{file} is there already; choose another name or another folder with --into")
    into.mkdir(parents=True, exist_ok=True)
    for file, template in made.items():
        text = Template((_TEMPLATES / template).read_text(encoding="utf-8")).substitute(words)
        with file.open("x", encoding="utf-8") as out:
            out.write(text)
    return Scaffold(module_file, test_file, _ENTRY.format(name=name, delivery=delivery.value))


def _module_of(name: str) -> str:
    """Return the module's name.

    Raises:
        CommandError: The channel's name cannot be that of a module, or is taken.
    """
    if not _NAME.fullmatch(name) or len(name) > _LONGEST_NAME:
        raise CommandError(
            f"{name!r} is no name for a channel: lower-case letters, digits, - and _, such as account-room, "
            f"at most {_LONGEST_NAME}"
        )
    if name in CHANNELS:
        raise CommandError(f"the channel {name} comes with Tutti; choose another name")
    module = name.replace("-", "_")
    if keyword.iskeyword(module) or module in sys.stdlib_module_names:
        raise CommandError(f"{name!r} is a name of Python's own; choose another one")
    if find_spec(module) is not None:
        raise CommandError(f"{name!r} is the name of a module that is installed here; choose another one")
    return module
