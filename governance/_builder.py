"""From a validated policy file to rules that can be applied; every mistake is collected with its place."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from domain import RuleMode
from governance._case import Origin
from governance._facts import RULES
from governance._source import Document, Place, Problem
from governance.cel._conditions import Condition, ConditionError, Vocabulary

Loc = tuple[str | int, ...]


@dataclass(slots=True)
class Roll:
    """What holds over all files of a set: the names that exist, the rule ids that are taken, the mistakes.

    Attributes:
        persons: Logins of the persons; None while people.yaml cannot be read.
        actors: Ids of all actors; None while people.yaml cannot be read.
        groups: Members of each group by its name; None while people.yaml cannot be read.
        hours: Names of the groups that have business hours; None while people.yaml cannot be read.
        channels: Names of the channels; None while channels.yaml cannot be read.
        problems: Every mistake found so far.
        taken: Rule ids with the place where each was given.
    """

    persons: frozenset[str] | None = None
    actors: frozenset[str] | None = None
    groups: Mapping[str, frozenset[str]] | None = None
    hours: frozenset[str] | None = None
    channels: frozenset[str] | None = None
    problems: list[Problem] = field(default_factory=list)
    taken: dict[str, Place] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Builder:
    """Makes rules of one family, and notes what is wrong with them.

    Attributes:
        family: The family whose file is built.
        document: That file.
        roll: What holds over all files.
    """

    family: str
    document: Document
    roll: Roll

    def reject(
        self,
        loc: Loc,
        message: str,
        *,
        code: str = "invalid",
        suggestion: str | None = None,
        key: bool = False,
    ) -> None:
        """Note a mistake at a value."""
        self.roll.problems.append(
            self.document.problem(loc, message, code=code, suggestion=suggestion, key=key)
        )

    def origin(self, loc: Loc, rule_id: str, message: str, mode: RuleMode = RuleMode.ENFORCE) -> Origin:
        """Register a rule under its id, unique over all files, and return where it comes from."""
        place = self.document.place((*loc, "id"))
        # By column too: several rules can stand in one line.
        first = self.roll.taken.setdefault(rule_id, place)
        if first != place:
            self.reject(
                (*loc, "id"),
                f"the rule id {rule_id!r} is already used in {first.file}:{first.line}",
                code="duplicate-id",
            )
        log_only = mode is RuleMode.LOG_ONLY
        return Origin(rule_id, self.family, message, self.document.name, place.line, log_only)

    def condition(self, loc: Loc, text: str | None, vocabulary: Vocabulary = RULES) -> Condition | None:
        """Compile a condition; None stands for `always`, and for a mistake, which stops the whole set."""
        if text is None:
            return None
        try:
            return vocabulary.compile(text)
        except ConditionError as error:
            self.roll.problems.extend(
                self.document.problem(
                    loc,
                    issue.message,
                    within=(issue.line, issue.column),
                    length=issue.length,
                    suggestion=issue.suggestion,
                    code=issue.code,
                )
                for issue in error.issues
            )
            return None

    def known(self, loc: Loc, name: str, names: Collection[str] | None, what: str) -> None:
        """Note a mistake if a name does not exist; nothing if the file that would tell cannot be read."""
        if names is None or name in names:
            return
        close = difflib.get_close_matches(name, sorted(names), n=1)
        self.reject(
            loc, f"there is no {what} {name!r}", code="unknown-name", suggestion=close[0] if close else None
        )

    def all_known(
        self,
        loc: Loc,
        names: Sequence[str],
        existing: Collection[str] | None,
        what: str,
        *,
        wild: str | None = None,
    ) -> None:
        """Note every name of a list that does not exist, and every one that is given twice."""
        for index, name in enumerate(names):
            if name in names[:index]:
                self.reject((*loc, index), f"{name!r} is listed twice", code="duplicate")
            if wild is None or name != wild:
                self.known((*loc, index), name, existing, what)
