"""A play on one account, driven as the account would: proposals end, signals come, time passes."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from domain import (
    STEPS_REMEMBERED,
    Account,
    Circumstances,
    Contact,
    OutcomeKind,
    Plan,
    PlanRequest,
    PlayAsk,
    PlayMove,
    PlayPast,
    PlayRun,
    PlayStatus,
    PlayStep,
    Proposal,
    ProposalStatus,
    Reading,
    ReasonCode,
    SignalKind,
    SupportCase,
    TouchRecord,
    TouchStatus,
)
from governance import Play, PolicySet, compile_policy_set, plan
from tests.governance.worlds import CONTACTS, DEFAULT, NORTHWIND, NOW

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SENT, SUPPRESSED = ProposalStatus.SENT, ProposalStatus.SUPPRESSED

CONTENTS = {
    "content/hello.yaml": """\
id: hello
subject: Hello {{ contact.first_name }}
text: Good to meet you at {{ account.name }}.
html: '<p>Good to meet you.</p><a href="{{ unsubscribe_url }}">No more</a>'
""",
    "content/note.yaml": """\
id: note
subject: Look at {{ account.name }}
text: They were here.
fields: {audience: visitors}
""",
}

HEAD = """\
id: welcome
name: Welcome
actor: plays
priority: 50
lasts_at_most: 30d
entry: {on: [form_submission]}
reentry: never
"""


@cache
def families() -> dict[str, str]:
    """The files of the default set without its plays and contents."""
    return {path.name: path.read_text() for path in DEFAULT.glob("*.yaml")}


def files(*plays: str, **contents: str) -> dict[str, str]:
    """A policy set with these plays; each begins with its id."""
    named = {f"plays/{text.split()[1]}.yaml": text for text in plays}
    own = {f"content/{name}.yaml": text for name, text in contents.items()}
    return {**families(), **CONTENTS, **named, **own}


@cache
def compiled(*plays: str) -> PolicySet:
    return compile_policy_set(files(*plays))


def with_steps(steps: str, head: str = HEAD) -> str:
    return f"{head}steps:\n{steps}"


def mail(step: str = "mail", to: str = "[champion]", more: str = "", touch: str = "") -> str:
    """A step that sends a mail."""
    return (
        f"  - id: {step}\n"
        f"    touch: {{channel: email, action: send_play_email, to: {to}, content: hello, value: 100,"
        f" propensity: 0.1, confidence: 0.9{touch}}}\n{more}"
    )


def task(step: str = "task", more: str = "", touch: str = "") -> str:
    """A step that makes a task for the account as a whole."""
    return (
        f"  - id: {step}\n"
        f"    touch: {{channel: sdr_task, action: create_task, content: note, value: 100, propensity: 0.1,"
        f" confidence: 0.9{touch}}}\n{more}"
    )


def wait(step: str = "pause", what: str = "for: 3d", more: str = "") -> str:
    return f"  - id: {step}\n    wait: {{{what}}}\n{more}"


class Stage:
    """An account with at most one running play.

    Attributes:
        run: Where the play stands; None before one has entered.
        open: Proposals that have not ended.
        made: Every proposal so far.
        latest: The last plan.
    """

    def __init__(
        self,
        *plays: str,
        policies: PolicySet | None = None,
        account: Account | None = NORTHWIND,
        contacts: dict[str, Contact] | None = None,
        now: datetime = NOW,
    ) -> None:
        self.policies = policies or compiled(*plays)
        self.account = account
        self.contacts = dict(CONTACTS if contacts is None else contacts)
        self.now = now
        self.run: PlayRun | None = None
        self.open: dict[str, Proposal] = {}
        self.made: list[Proposal] = []
        self.touches: list[TouchRecord] = []
        self.seen: dict[SignalKind, datetime] = {}
        self.readings: tuple[Reading, ...] = ()
        self.cases: tuple[SupportCase, ...] = ()
        self.past: tuple[PlayPast, ...] = ()
        self.pinned: dict[tuple[str, str], Play] = {}
        self.number = 1
        self.latest: Plan | None = None

    def ask(self, *asks: PlayAsk, move_to: PlayMove | None = None, with_run: bool = True) -> Plan:
        request = PlanRequest(
            account_id="northwind",
            account=self.account,
            contacts=self.contacts,
            readings=self.readings,
            touches=tuple(self.touches),
            circumstances=Circumstances(latest=self.seen, open_cases=self.cases),
            run=self.run if with_run and self.run is not None and not self.run.status.final else None,
            move_to=move_to,
            asks=asks,
            past=self.past,
            next_number=self.number,
            revision=1,
            now=self.now,
        )
        made = plan(self.policies, request, self.pinned)
        assert made == plan(self.policies, request, self.pinned), "the same request gives the same plan"
        assert Plan.model_validate_json(made.model_dump_json()) == made, "a plan is what its model says"
        self.latest = made
        following = made.entered or made.run
        if following is not None:
            self.run = following
            self.number += made.entered is not None
            for proposal in made.proposals:
                self.open[proposal.proposal_id] = proposal
            self.made += made.proposals
            self.open = {name: each for name, each in self.open.items() if name in following.pending}
        return made

    def enter(self, play_id: str = "welcome", **changes: Any) -> Stage:  # noqa: ANN401 - fields of the ask
        given = {"play_id": play_id, "asked_by": "form f-1", "asked_at": self.now, **changes}
        self.ask(PlayAsk.model_validate(given))
        return self

    def end(self, step: str, status: ProposalStatus = SENT, reason: ReasonCode | None = None) -> Stage:
        """A proposal reaches its end; when it was the last one, the account asks what comes next."""
        assert self.run is not None
        (proposal,) = (each for each in self.open.values() if each.play and each.play.step == step)
        del self.open[proposal.proposal_id]
        if status in {SENT, ProposalStatus.IN_DOUBT}:
            self.touches.append(touch_of(proposal, self.now, status))
        usual = ReasonCode.ALLOWED if status is SENT else ReasonCode.FREQUENCY_CAP
        ended = PlayStep(
            step=step,
            proposal_id=proposal.proposal_id,
            channel=proposal.channel,
            contact_id=proposal.contact_id,
            status=status,
            reason=reason or usual,
            at=self.now,
        )
        steps = (*self.run.steps, ended)[-STEPS_REMEMBERED:]
        pending = tuple(name for name in self.run.pending if name != proposal.proposal_id)
        self.run = self.run.model_copy(update={"steps": steps, "pending": pending})
        if not pending and self.run.status is PlayStatus.ACTIVE:
            self.ask()
        return self

    def outcome(self, step: str, *kinds: OutcomeKind) -> Stage:
        index = max(n for n, each in enumerate(self.touches) if each.play and each.play.step == step)
        outcomes = dict.fromkeys(kinds, self.now)
        self.touches[index] = self.touches[index].model_copy(update={"outcomes": outcomes})
        return self

    def signal(self, kind: SignalKind) -> Stage:
        self.seen[kind] = self.now
        if self.run is not None and kind in self.run.wakes_on:
            self.ask()
        return self

    def later(self, span: timedelta) -> Stage:
        """Time passes; the account asks whenever something is due."""
        until = self.now + span
        while self.run is not None and self.run.due_at is not None and self.run.due_at <= until:
            if self.run.status is not PlayStatus.ACTIVE:
                break
            self.now = max(self.now, self.run.due_at)
            self.ask()
        self.now = until
        return self

    def suspend(self) -> Stage:
        """A proposal displaces the run: what is pending is taken back."""
        assert self.run is not None
        taken = tuple(
            PlayStep(
                step=each.play.step if each.play else "",
                proposal_id=each.proposal_id,
                channel=each.channel,
                contact_id=each.contact_id,
                status=SUPPRESSED,
                reason=ReasonCode.PLAY_SUSPENDED,
                at=self.now,
            )
            for each in self.open.values()
        )
        self.open = {}
        changes = {"status": PlayStatus.SUSPENDED, "pending": (), "steps": (*self.run.steps, *taken)}
        self.run = self.run.model_copy(update={**changes, "suspended_by": "sdr-1", "suspended_at": self.now})
        return self

    @property
    def standing(self) -> PlayRun:
        assert self.run is not None, self.latest
        return self.run

    @property
    def steps_open(self) -> list[str]:
        return [each.play.step for each in self.open.values() if each.play is not None]

    def only(self) -> Proposal:
        (proposal,) = self.open.values()
        return proposal


def touch_of(proposal: Proposal, at: datetime, status: ProposalStatus = SENT) -> TouchRecord:
    return TouchRecord(
        touch_id=f"northwind/{proposal.proposal_id}/1",
        channel=proposal.channel,
        action=proposal.action,
        actor=proposal.actor,
        contact_id=proposal.contact_id,
        proposal_id=proposal.proposal_id,
        at=at,
        status=TouchStatus.HANDED_OVER if status is SENT else TouchStatus.UNKNOWN,
        play=proposal.play,
    )


def in_folder(folder: Path, given: dict[str, str]) -> Path:
    """Write the files of a policy set."""
    for name, text in given.items():
        path = folder / "policies" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder / "policies"
