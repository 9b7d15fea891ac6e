"""Tests of policies, written by the people who own them: a situation, proposals, and what becomes of each."""

from __future__ import annotations

import difflib
import errno
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from domain import Decision, Identifier, Moment, ReasonCode, RulingRequest, ShortText, Verdict
from governance._engine import rule
from governance._fields import Duration, NotEmpty, PolicyModel
from governance._outline import Loc, rule_ids
from governance._situations import GivenProposal, Situation, situated
from governance._source import Document, Place, PolicyFileError, Problem, load_document

if TYPE_CHECKING:
    from governance._policy_set import PolicySet

FOLDER: Final = "tests"
"""Folder of the cases, inside that of the policy set."""

_BUILT_IN: Final = ("engine.", "channels.")


class Expectation(PolicyModel):
    """What must become of a proposal; what is left out may be anything."""

    verdict: Verdict
    """allow, defer, require_approval, suppress or deny."""
    reason: ReasonCode | None = None
    """The decision's reason code, such as FREQUENCY_CAP."""
    rule: ShortText | None = None
    """Id of the rule that decides."""
    until: Moment | None = None
    """The exact moment to which it is deferred."""
    waits: Duration | None = None
    """How long it is deferred, counted from `now`; instead of `until`."""
    asks: ShortText | None = None
    """The group that is asked; several in words: legal and sales-leadership."""
    fires: tuple[ShortText, ...] = ()
    """Ids of rules that must have something to say, whether they decide or not."""
    silent: tuple[ShortText, ...] = ()
    """Ids of rules that must have nothing to say."""


class CaseEntry(Situation):
    """One test: a situation, proposals, and what must become of them."""

    name: ShortText
    """A sentence that says what is promised."""
    proposals: Annotated[tuple[GivenProposal, ...], NotEmpty]
    expect: Annotated[dict[Identifier, Expectation], NotEmpty]
    """What must become of the proposals, by their ids."""


class CasesFile(PolicyModel):
    """The file as people write it."""

    given: Situation = Situation()
    """What all cases of the file share; a case adds to it, and goes first where both say something."""
    cases: Annotated[tuple[CaseEntry, ...], NotEmpty]


@dataclass(frozen=True, slots=True)
class PolicyCase:
    """A test that can be run.

    Attributes:
        place: Where its name stands.
        name: Its sentence.
        request: The situation with the proposals, as governance gets them.
        expect: What must become of the proposals, by their ids.
    """

    place: Place
    name: str
    request: RulingRequest
    expect: Mapping[str, Expectation]


@dataclass(frozen=True, slots=True)
class Miss:
    """Something that came out otherwise.

    Attributes:
        proposal_id: The proposal.
        what: The field of the expectation.
        expected: What it says.
        actual: What came out.
    """

    proposal_id: str
    what: str
    expected: str
    actual: str


@dataclass(frozen=True, slots=True)
class CaseResult:
    """How a test went.

    Attributes:
        case: The test.
        misses: What came out otherwise; none if it passed.
        decisions: What came out, by proposal id.
    """

    case: PolicyCase
    misses: tuple[Miss, ...]
    decisions: Mapping[str, Decision]

    @property
    def passed(self) -> bool:
        """Whether everything came out as expected."""
        return not self.misses


class CasesError(Exception):
    """Test files cannot be used; the text has every mistake with its line and a caret below it.

    Attributes:
        code: Stable name of the error.
        problems: The mistakes, in the order of files and lines.
    """

    code = "POLICY_CASES_INVALID"

    def __init__(self, problems: Sequence[Problem], texts: Mapping[str, str]) -> None:
        self.problems = tuple(sorted(problems, key=lambda problem: problem.place))
        super().__init__("\n\n".join(problem.render(texts[problem.place.file]) for problem in self.problems))


def read_cases(directory: Path) -> dict[str, bytes]:
    """Return the test files of a policy set by their names, such as `tests/frequency.yaml`.

    Args:
        directory: Folder of the policy set; without a folder `tests` in it there are none.

    Raises:
        OSError: A file cannot be read.
    """
    found = [path for end in ("*.yaml", "*.yml") for path in (directory / FOLDER).glob(end)]
    return {f"{FOLDER}/{path.name}": _content(path) for path in sorted(found)}


def _content(path: Path) -> bytes:
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "it is no regular file", str(path))  # a pipe or a device may never end
    return path.read_bytes()


def load_cases(policies: PolicySet, files: Mapping[str, bytes]) -> tuple[PolicyCase, ...]:
    """Read and check test files.

    Args:
        policies: The set they are about: a signal means what its interpretation.yaml says.
        files: Content by name.

    Returns:
        The cases in the order of names and lines.

    Raises:
        CasesError: With every mistake of every file.
    """
    existing = rule_ids(policies.files)
    cases: list[PolicyCase] = []
    problems: list[Problem] = []
    for name in sorted(files):
        try:
            document = load_document(name, files[name])
            content = document.validate(CasesFile)
        except PolicyFileError as error:
            problems += error.problems
            continue
        mistakes = list(_mistakes(existing, document, content))
        problems += mistakes
        if not mistakes:
            cases += [
                PolicyCase(
                    document.place(("cases", index, "name")),
                    entry.name,
                    situated(policies, content.given, entry, entry.proposals),
                    entry.expect,
                )
                for index, entry in enumerate(content.cases)
            ]
    if problems:
        raise CasesError(problems, {name: text.decode(errors="replace") for name, text in files.items()})
    return tuple(cases)


def run_case(policies: PolicySet, case: PolicyCase) -> CaseResult:
    """Rule on the proposals of a case and compare; pure."""
    ruling = rule(policies, case.request)
    decisions = {decision.proposal_id: decision for decision in ruling.decisions}
    misses = tuple(
        miss
        for proposal_id, expected in case.expect.items()
        for miss in _misses(expected, decisions[proposal_id])
    )
    return CaseResult(case, misses, decisions)


def _misses(expected: Expectation, decision: Decision) -> Iterator[Miss]:
    fired = {hit.rule_id for hit in decision.hits}
    if decision.score is not None:
        fired |= {factor.rule_id for factor in decision.score.factors if factor.rule_id is not None}
    until = expected.until
    if expected.waits is not None:
        until = decision.decided_at + expected.waits
    compared = (
        ("verdict", expected.verdict.value, decision.verdict.value),
        ("reason", expected.reason, decision.reason.value),
        ("rule", expected.rule, decision.hits[0].rule_id if decision.hits else "no rule"),
        ("until", _told(until), _told(decision.until)),
        ("asks", expected.asks, decision.route.group if decision.route is not None else "nobody"),
    )
    for what, wanted, actual in compared:
        if wanted is not None and wanted != actual:
            yield Miss(decision.proposal_id, what, wanted, actual or "no moment")
    for rule_id in expected.fires:
        if rule_id not in fired:
            yield Miss(decision.proposal_id, "fires", rule_id, "it has nothing to say")
    for rule_id in expected.silent:
        if rule_id in fired:
            yield Miss(decision.proposal_id, "silent", rule_id, "it has something to say")


def _told(moment: datetime | None) -> str | None:
    return moment.isoformat().replace("+00:00", "Z") if moment is not None else None


def _mistakes(existing: Collection[str], document: Document, content: CasesFile) -> Iterator[Problem]:
    """Yield names that do not fit together: they would make a test pass or fail for the wrong reason."""
    names: dict[str, int] = {}
    for index, entry in enumerate(content.cases):
        if names.setdefault(entry.name, index) != index:
            message = f"another case is called {entry.name!r} already"
            yield document.problem(("cases", index, "name"), message)
        contacts = {contact.id for contact in (*content.given.contacts, *entry.contacts)}
        for loc, message in (*_proposal_mistakes(entry, contacts), *_expectation_mistakes(entry, existing)):
            yield document.problem(("cases", index, *loc), message)


def _proposal_mistakes(entry: CaseEntry, contacts: Collection[str]) -> Iterator[tuple[Loc, str]]:
    ids = [proposal.id for proposal in entry.proposals]
    for index, proposal in enumerate(entry.proposals):
        if proposal.id in ids[:index]:
            yield ("proposals", index, "id"), f"the proposal {proposal.id!r} is listed twice"
        if proposal.to is not None and proposal.to not in contacts:
            yield ("proposals", index, "to"), f"the case has no contact {proposal.to!r}"


def _expectation_mistakes(entry: CaseEntry, existing: Collection[str]) -> Iterator[tuple[Loc, str]]:
    ids = {proposal.id for proposal in entry.proposals}
    for proposal_id, expected in entry.expect.items():
        loc = ("expect", proposal_id)
        if proposal_id not in ids:
            yield loc, f"the case has no proposal {proposal_id!r}"
        if expected.until is not None and expected.waits is not None:
            yield (*loc, "waits"), "say either `until` or `waits`"
        named = [(("rule",), expected.rule)] if expected.rule is not None else []
        listed = [
            ((key, index), rule_id)
            for key, ids_of in (("fires", expected.fires), ("silent", expected.silent))
            for index, rule_id in enumerate(ids_of)
        ]
        for step, rule_id in (*named, *listed):
            if not _exists(existing, rule_id):
                yield (*loc, *step), _no_rule(rule_id, existing)
    for rule_id in entry.full_for:
        if not _exists(existing, rule_id):
            yield ("full_for", rule_id), _no_rule(rule_id, existing)


def _exists(existing: Collection[str], rule_id: str) -> bool:
    return rule_id.startswith(_BUILT_IN) or rule_id in existing


def _no_rule(rule_id: str, existing: Collection[str]) -> str:
    close = difflib.get_close_matches(rule_id, sorted(existing), n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return f"the policy set has no rule {rule_id!r}{hint}"
