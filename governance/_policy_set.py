"""Policy sets: eleven files, plays and contents of a directory, checked together, named by content."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from governance._builder import Builder, Loc, Roll
from governance._case import Channel
from governance._facts import LOSERS, RULES
from governance._fields import PolicyModel
from governance._source import Document, Place, PolicyFileError, Problem, load_document
from governance.cel._conditions import Vocabulary
from governance.content import Content, ContentFile, build_content
from governance.families._approvals import Approvals, ApprovalsFile, build_approvals
from governance.families._arbitration import Arbitration, ArbitrationFile, build_arbitration
from governance.families._authority import AuthorityFile, build_authority
from governance.families._channels import ChannelsFile, build_channels
from governance.families._consent import ConsentFile, Permissions, build_consent
from governance.families._eligibility import Eligibility, EligibilityFile, build_eligibility
from governance.families._frequency import Frequency, FrequencyFile, build_frequency
from governance.families._grants import Grant
from governance.families._interpretation import Interpretation, InterpretationFile, build_interpretation
from governance.families._people import People, PeopleFile, build_people
from governance.families._suppression import Suppression, SuppressionFile, build_suppression
from governance.families._timing import Timing, TimingFile, build_timing
from governance.plays import PLAYS, Around, Play, PlayFile, build_play, check_names, check_ways

_FAMILIES = (
    # First those that say which names exist.
    "people",
    "channels",
    "consent",
    "suppression",
    "eligibility",
    "frequency",
    "timing",
    "authority",
    "arbitration",
    "approvals",
    "interpretation",
)
_WANTED = frozenset(f"{family}.yaml" for family in _FAMILIES)
_ON_LOSERS = frozenset({"losers", "look_ahead"})
"""Keys of arbitration.yaml whose conditions may ask for the winner."""
_FOLDERS = ("content", "plays")
"""Folders with a file for each content and each play; neither must be there."""
_IN_FOLDER = re.compile(rf"(?:{'|'.join(_FOLDERS)})/[^/]+\.yaml")
_README = "README.md"
_IGNORED = frozenset({_README, "tests", *_FOLDERS})
_UNKNOWN_FILE = "a policy set has no such file; remove or rename it"

M = TypeVar("M", bound=PolicyModel)
T = TypeVar("T")


class PolicyError(Exception):
    """A policy set cannot be used.

    The text has every mistake of every file with its line and a caret below it.

    Attributes:
        code: Stable name of the error.
        problems: The mistakes, in the order of files and lines.
    """

    code = "POLICY_SET_INVALID"

    def __init__(self, problems: tuple[Problem, ...], texts: Mapping[str, str]) -> None:
        self.problems = problems
        rendered = [
            problem.render(texts[problem.place.file])
            if problem.place.file in texts
            else f"{problem.place.file}: error: {problem.message}"  # no text, so no line to point at
            for problem in problems
        ]
        count = "1 mistake" if len(problems) == 1 else f"{len(problems)} mistakes"
        super().__init__("\n\n".join([*rendered, f"The policy set has {count}; nothing of it is in force."]))


@dataclass(frozen=True, slots=True, eq=False)
class PolicySet:
    """Everything people have decided about how accounts are engaged, checked and ready to be applied.

    Attributes:
        name: Directory name and the beginning of the digest, for people.
        digest: SHA-256 over the names and bytes of the files: the version that decisions carry.
        files: Text of each file by its name.
        channels: The channels by name; each has a `handover`.
        decision_window: How long the first proposal waits for rivals.
        people: Who proposes and who approves.
        consent: Whom we may not contact, and where permission comes first.
        suppression: Whom we leave alone for a while.
        eligibility: Whom it makes sense to engage.
        frequency: How often.
        timing: When.
        authority: Who may do what alone.
        arbitration: Who goes first.
        approvals: When a person decides.
        interpretation: What signals mean.
        plays: The plays by name.
        contents: What touches say, by name.
        shares: Whether the set has limits that all accounts share.
    """

    name: str
    digest: str
    files: Mapping[str, str]
    channels: Mapping[str, Channel]
    people: People
    consent: Permissions
    suppression: Suppression
    eligibility: Eligibility
    frequency: Frequency
    timing: Timing
    authority: tuple[Grant, ...]
    arbitration: Arbitration
    approvals: Approvals
    interpretation: Interpretation
    plays: Mapping[str, Play]
    contents: Mapping[str, Content]
    shares: bool

    @property
    def decision_window(self) -> timedelta:
        """How long the first proposal waits for rivals."""
        return self.timing.decision_window


class _Loader:
    """Builds families from the files of a policy set."""

    def __init__(self, contents: Mapping[str, bytes], problems: Iterable[Problem] = ()) -> None:
        self.roll = Roll()
        self.roll.problems.extend(problems)
        self.contents = contents
        self._documents: dict[str, Document] = {}
        complained = {problem.place.file for problem in self.roll.problems}
        nothing = any(problem.code == "missing-directory" for problem in self.roll.problems)
        for name in sorted(_WANTED | {name for name in contents if _IN_FOLDER.fullmatch(name)}):
            if name not in contents:
                if name not in complained and not nothing:
                    self.roll.problems.append(_about(name, "the file is missing", "missing-file"))
                continue
            try:
                self._documents[name] = load_document(name, contents[name])
            except PolicyFileError as error:
                self.roll.problems.extend(error.problems)

    def family(self, family: str, model: type[M], build: Callable[[M, Builder], T]) -> T | None:
        """Return the rules of a family; None if its file cannot be used, which has been noted."""
        return self.file(f"{family}.yaml", family, model, build)

    def file(
        self,
        name: str,
        family: str,
        model: type[M],
        build: Callable[[M, Builder], T],
        vocabulary: Vocabulary = RULES,
    ) -> T | None:
        """Return what a file says; None if it cannot be used, which has been noted."""
        document = self._documents.get(name)
        if document is None:
            return None
        builder = Builder(family, document, self.roll)
        try:
            content = document.validate(model)
        except PolicyFileError as error:
            self.roll.problems.extend(error.problems)
            # The file gives no rules, but its conditions can be checked all the same.
            for loc, text in _conditions(document.data, ()):
                builder.condition(loc, text, LOSERS if loc[0] in _ON_LOSERS else vocabulary)
            return None
        return build(content, builder)

    def folder(self, folder: str) -> dict[str, str]:
        """Return the files of a folder by the name each must have inside."""
        found = (name for name in sorted(self.contents) if name.startswith(f"{folder}/"))
        return {name.removeprefix(f"{folder}/").removesuffix(".yaml"): name for name in found}

    def texts(self) -> dict[str, str]:
        """Return the files as text; bytes that are no text are shown as such."""
        return {name: content.decode("utf-8", errors="replace") for name, content in self.contents.items()}


def load_policy_set(directory: Path) -> PolicySet:
    """Read, check and compile the policy files of a directory.

    Args:
        directory: Holds the files of all families, and nothing else but perhaps a README.md and the folders
            `plays`, `content` and `tests`.

    Raises:
        PolicyError: With every mistake of every file.
    """
    contents, problems = _read(directory)
    return _compile(_Loader(contents, problems), directory.resolve().name)


def compile_policy_set(files: Mapping[str, str], name: str = "policies") -> PolicySet:
    """Check and compile a policy set that is kept elsewhere than in a directory.

    Args:
        files: Text of each file by its name, such as `timing.yaml` or `plays/renewal-risk.yaml`.
        name: What to call the set, before the beginning of its digest.

    Raises:
        PolicyError: With every mistake of every file.
    """
    contents = {file: text.encode() for file, text in files.items()}
    problems = [
        _about(file, _UNKNOWN_FILE, "unknown-file")
        for file in sorted(contents.keys() - _WANTED)
        if not _IN_FOLDER.fullmatch(file)
    ]
    return _compile(_Loader(contents, problems), name)


def _read(directory: Path) -> tuple[dict[str, bytes], list[Problem]]:
    contents: dict[str, bytes] = {}
    problems: list[Problem] = []
    if not directory.is_dir():
        problems.append(_about(str(directory), "there is no such directory of policies", "missing-directory"))
        return contents, problems
    present = {path.name for path in directory.iterdir() if not path.name.startswith(".")}
    problems += [_about(file, _UNKNOWN_FILE, "unknown-file") for file in sorted(present - _WANTED - _IGNORED)]
    for file in [*sorted(_WANTED), *_listed(directory, problems)]:
        try:
            if (directory / file).exists() and not (directory / file).is_file():
                problems.append(
                    _about(
                        file,
                        "there is a folder or a device in place of the file; put the file there",
                        "unreadable",
                    )
                )
                continue
            contents[file] = (directory / file).read_bytes()
        except FileNotFoundError:
            problems.append(_about(file, f"the file is missing in {directory}", "missing-file"))
        except OSError as error:
            problems.append(_about(file, f"the file cannot be read: {error.strerror}", "unreadable"))
    return contents, problems


def _listed(directory: Path, problems: list[Problem]) -> list[str]:
    """Return the plays and contents of a directory, and note what else lies in their folders."""
    found: list[str] = []
    for folder in _FOLDERS:
        place = directory / folder
        if not place.exists():
            continue
        if not place.is_dir():
            problems.append(_about(folder, "there is a file in place of the folder", "unreadable"))
            continue
        names = sorted(path.name for path in place.iterdir() if not path.name.startswith("."))
        for name in names:
            if name.endswith(".yaml"):
                found.append(f"{folder}/{name}")
            elif name != _README:
                problems.append(_about(f"{folder}/{name}", _UNKNOWN_FILE, "unknown-file"))
    return found


def _about(file: str, message: str, code: str) -> Problem:
    return Problem(Place(file, 1, 1), message, code=code)


def _compile(loader: _Loader, name: str) -> PolicySet:
    people = loader.family("people", PeopleFile, build_people)
    channels = loader.family("channels", ChannelsFile, build_channels)
    consent = loader.family("consent", ConsentFile, build_consent)
    suppression = loader.family("suppression", SuppressionFile, build_suppression)
    eligibility = loader.family("eligibility", EligibilityFile, build_eligibility)
    frequency = loader.family("frequency", FrequencyFile, build_frequency)
    operational = frequency.operational if frequency is not None else frozenset[str]()
    timing = loader.family(
        "timing", TimingFile, lambda file, builder: build_timing(file, builder, channels, operational)
    )
    authority = loader.family(
        "authority", AuthorityFile, lambda file, builder: build_authority(file, builder, people)
    )
    arbitration = loader.family(
        "arbitration",
        ArbitrationFile,
        lambda file, builder: build_arbitration(file, builder, operational),
    )
    approvals = loader.family("approvals", ApprovalsFile, build_approvals)
    interpretation = loader.family(
        "interpretation",
        InterpretationFile,
        lambda file, builder: build_interpretation(file, builder, approvals),
    )
    contents = _contents(loader)
    plays = _plays(loader, channels, contents)
    if (
        loader.roll.problems
        or people is None
        or channels is None
        or consent is None
        or suppression is None
        or eligibility is None
        or frequency is None
        or timing is None
        or authority is None
        or arbitration is None
        or approvals is None
        or interpretation is None
    ):
        problems = sorted(loader.roll.problems, key=lambda problem: problem.place)
        raise PolicyError(tuple(problems), loader.texts())
    digest = _digest(loader.contents)
    return PolicySet(
        name=f"{name}@{digest[:12]}",
        digest=digest,
        files=MappingProxyType(loader.texts()),
        channels=MappingProxyType(channels),
        people=people,
        consent=consent,
        suppression=suppression,
        eligibility=eligibility,
        frequency=frequency,
        timing=timing,
        authority=authority,
        arbitration=arbitration,
        approvals=approvals,
        interpretation=interpretation,
        plays=MappingProxyType(plays),
        contents=MappingProxyType({name: each for name, each in contents.items() if each is not None}),
        shares=bool(frequency.shared) or any(grant.budgets for grant in authority),
    )


def _contents(loader: _Loader) -> dict[str, Content | None]:
    """Return the contents by name; None for one that cannot be used."""

    def build(file: ContentFile, builder: Builder) -> Content | None:
        _check_name(file.id, builder)
        return build_content(file, builder)

    return {
        content_id: loader.file(name, "content", ContentFile, build)
        for content_id, name in loader.folder("content").items()
    }


def _plays(
    loader: _Loader, channels: Mapping[str, Channel] | None, contents: Mapping[str, Content | None]
) -> dict[str, Play]:
    files = loader.folder("plays")
    around = Around(channels, contents, frozenset(files))

    def build(file: PlayFile, builder: Builder) -> Play | None:
        before = len(loader.roll.problems)
        _check_name(file.id, builder)
        play = build_play(file, builder, contents)
        check_names(file, builder, around)
        if play is not None and len(loader.roll.problems) == before:
            check_ways(file, play, builder)
        return play

    built = {play_id: loader.file(name, "plays", PlayFile, build, PLAYS) for play_id, name in files.items()}
    return {play_id: play for play_id, play in built.items() if play is not None}


def _check_name(name: str, builder: Builder) -> None:
    file = builder.document.name.rpartition("/")[2]
    if file != f"{name}.yaml":
        builder.reject(
            ("id",), f"the file is called {file}: call it {name}.yaml, or change the id", code="file-name"
        )


def _conditions(value: object, loc: Loc) -> Iterator[tuple[Loc, str]]:
    """Yield every text under a key `when`, with its place."""
    steps: Iterable[tuple[str | int, object]] = ()
    if isinstance(value, dict):
        steps = value.items()
    elif isinstance(value, list):
        steps = enumerate(value)
    for step, inner in steps:
        if step == "when" and isinstance(inner, str) and inner:
            yield (*loc, step), inner
        else:
            yield from _conditions(inner, (*loc, step))


def _digest(contents: Mapping[str, bytes]) -> str:
    """Hash names and bytes, each behind its length, so that no two sets read alike."""
    total = hashlib.sha256()
    for name in sorted(contents):
        for part in (name.encode(), contents[name]):
            total.update(len(part).to_bytes(8, "big"))
            total.update(part)
    return total.hexdigest()
