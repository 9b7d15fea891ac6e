"""Templates in a sandbox: how they are read, what they may say, and what becomes of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from jinja2 import StrictUndefined, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import Markup
from pydantic import ValidationError

from domain import Account, Contact, digest_of
from domain import Content as Filled
from governance.content._file import Part

if TYPE_CHECKING:
    from jinja2 import Template

PLACEHOLDER: Final = "unsubscribe_url"
"""Stays as it is: the channel knows the address only when it hands the touch over."""

NAMES: Final[Mapping[str, frozenset[str]]] = {
    "account": frozenset({"id", "name", "domain", "country", "tier", "owner"}),
    "contact": frozenset({"id", "name", "first_name", "title", "role"}),
    "play": frozenset({"name"}),
    "sender": frozenset(),
    PLACEHOLDER: frozenset(),
}
"""What templates may use: a name, and for some of them what follows its dot."""

FILTERS: Final = frozenset(
    {"capitalize", "d", "default", "e", "escape", "lower", "title", "trim", "truncate", "upper", "urlencode"}
)
"""Filters whose result is about as long as what they are given."""

TESTS: Final = frozenset({"defined", "undefined"})

_TITLES: Final = frozenset({"dr", "dr.", "prof", "prof.", "mr", "mr.", "mrs", "mrs.", "ms", "ms."})
_BLANKS: Final = re.compile(r"\s+")


class ContentError(Exception):
    """A content cannot be made from what is known of the account and the person."""

    code = "CONTENT_ERROR"


class _Missing(StrictUndefined):
    """A fact that nobody knows: it can be asked for, as in `{% if contact.title %}`, and never be shown."""

    __slots__ = ()

    def __bool__(self) -> bool:  # type: ignore[override] # asking is allowed
        return False


@cache
def environment(*, escape: bool) -> ImmutableSandboxedEnvironment:
    """Return the environment that all templates share.

    Args:
        escape: Whether what is filled in is escaped for HTML.
    """
    made = ImmutableSandboxedEnvironment(
        undefined=_Missing, autoescape=escape, loader=None, keep_trailing_newline=True, cache_size=0
    )
    made.globals.clear()
    made.filters = {name: made.filters[name] for name in FILTERS}
    made.tests = {name: made.tests[name] for name in TESTS}
    return made


@dataclass(frozen=True, slots=True)
class Speaking:
    """Who speaks to whom.

    Attributes:
        account: The company.
        contact: The person; None if the account as a whole is addressed.
        play: What the play is called; None if no play speaks.
        sender: The actor in whose name the play proposes.
    """

    account: Account
    contact: Contact | None
    play: str | None
    sender: str

    def names(self) -> dict[str, object]:
        """Return what templates see."""
        account, contact = self.account, self.contact
        return {
            "account": _known(
                "account",
                id=account.account_id,
                name=account.name,
                domain=account.domain,
                country=account.country,
                tier=account.tier.value,
                owner=account.owner,
            ),
            "contact": _known("contact")
            if contact is None
            else _known(
                "contact",
                id=contact.contact_id,
                name=contact.name,
                first_name=first_name(contact.name),
                title=contact.title,
                role=contact.role.value.replace("_", " "),
            ),
            "play": _known("play", name=self.play),
            "sender": self.sender,
            PLACEHOLDER: Markup("{{ " + PLACEHOLDER + " }}"),  # noqa: S704 - a constant
        }


def _known(of: str, /, **facts: str | None) -> dict[str, object]:
    """Return facts by name; what is not known complains when it is shown."""
    return {
        name: facts.get(name) or _Missing(hint=f"{of}.{name} is not known", name=f"{of}.{name}")
        for name in NAMES[of]
    }


def first_name(name: str) -> str:
    """Return how a person is greeted: `Ana` for `Dr. Ana Souza` and for `Souza, Ana`."""
    _, comma, after = name.partition(",")
    words = (after if comma and after.strip() else name).replace(",", " ").split()
    spoken = [word for word in words if word.lower() not in _TITLES]
    return (spoken or words or [name])[0]


@dataclass(frozen=True, slots=True, eq=False)
class Content:
    """A compiled content.

    Attributes:
        content_id: Its name.
        channels: The channels it is written for; None: any.
        subject: Template of the subject.
        text: Template of the text.
        html: Template of the HTML.
        fields: Template of each field.
        uses: Names that each part uses, such as `contact.name` or `unsubscribe_url`.
        source: The file as plain data: what its version, and that of a play, is taken over.
        file: Its file in the policy set.
        lines: The line of each part in it, from 1.
    """

    content_id: str
    channels: frozenset[str] | None
    subject: Template | None
    text: Template | None
    html: Template | None
    fields: Mapping[str, Template]
    uses: Mapping[Part, frozenset[str]]
    source: Any
    file: str
    lines: Mapping[Part, int]

    @property
    def version(self) -> str:
        """SHA-256 of what the file says: comments and layout make no other version."""
        return digest_of(self.source)

    @property
    def parts(self) -> frozenset[Part]:
        """The parts it has."""
        return frozenset(self.uses)

    @property
    def speaks_to_a_person(self) -> bool:
        """Whether it uses anything of the person it addresses."""
        return any(name.startswith("contact.") for names in self.uses.values() for name in names)

    def fill(self, speaking: Speaking) -> Filled:
        """Fill the templates in.

        Raises:
            ContentError: Something that it shows is not known, or the result is too long.
        """
        names = speaking.names()
        try:
            subject = None if self.subject is None else _BLANKS.sub(" ", self.subject.render(names)).strip()
            return Filled(
                subject=subject,
                text="" if self.text is None else self.text.render(names).strip(),
                html=None if self.html is None else self.html.render(names).strip(),
                fields={
                    name: template.render(names).strip() for name, template in sorted(self.fields.items())
                },
            )
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            part = ".".join(str(step) for step in first["loc"])
            raise ContentError(f"content {self.content_id}: the {part} is too long or not one line") from None
        except (TemplateError, TypeError, ValueError) as error:
            raise ContentError(f"content {self.content_id}: {error}") from None
