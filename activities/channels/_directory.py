"""The executives that a company lends to its accounts, and who keeps their calendars."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import EmailStr, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from activities.channels._contract import clean
from activities.channels._settings import ChannelSettingsError
from domain import Frozen, Identifier, ShortText

_MAX_BYTES = 1_000_000


class Assistant(Frozen):
    """Who keeps an executive's calendar."""

    name: Annotated[ShortText, Field(min_length=1)]
    email: EmailStr


class Executive(Frozen):
    """One executive, as the directory lists them."""

    login: Identifier
    name: Annotated[ShortText, Field(min_length=1)]
    email: EmailStr
    assistant: Assistant | None = None
    """None: the executive gets briefs and invitations."""

    @property
    def office(self) -> Assistant:
        """Who gets briefs and invitations."""
        return self.assistant or Assistant(name=self.name, email=self.email)


class Directory:
    """Finds executives by login or address.

    Args:
        executives: Everybody in it.
    """

    def __init__(self, executives: Mapping[str, Executive]) -> None:
        self._found = {
            key.casefold(): executive
            for executive in executives.values()
            for key in (executive.login, executive.email)
        }

    def find(self, name: str) -> Executive | None:
        """Return who has a login or an address, in whatever case."""
        return self._found.get(name.strip().casefold())


def read_directory(file: Path) -> Directory:
    """Read the directory.

    Args:
        file: YAML or JSON: a mapping from login to `name`, `email` and, if there is one, `assistant` with
            `name` and `email`.

    Raises:
        ChannelSettingsError: It cannot be read or holds something else; names file and line.
    """
    try:
        if file.stat().st_size > _MAX_BYTES:
            raise ChannelSettingsError(f"{file} is larger than {_MAX_BYTES} bytes")
        content = YAML(typ="rt", pure=True).load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ChannelSettingsError(f"{file} cannot be read: {error.strerror}") from None
    except MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ChannelSettingsError(f"{file}{line}: {clean(str(error.problem))}") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise ChannelSettingsError(f"{file} is not YAML ({type(error).__name__})") from None
    if not isinstance(content, CommentedMap) or not content:
        raise ChannelSettingsError(
            f"{file} must map logins to executives, such as 'mira: {{name: ..., email: ...}}'"
        )
    return Directory({login: _executive(file, content, login) for login in content})


def _executive(file: Path, content: CommentedMap, login: object) -> Executive:
    line = content.lc.key(login)[0] + 1
    entry = content[login]
    if not isinstance(entry, Mapping):
        raise ChannelSettingsError(f"{file}, line {line}: '{login}' must have a name and an email")
    try:
        return Executive.model_validate({"login": login, **entry})
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ChannelSettingsError(
            f"{file}, line {line}: {where} of '{login}': {clean(first['msg'])}"
        ) from None
