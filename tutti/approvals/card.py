"""The card on a terminal: everything that a person needs to answer one question, on one page."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from datetime import datetime

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from domain import (
    Answer,
    Approval,
    ApprovalStatus,
    ApprovalStepFact,
    Contact,
    Decision,
    ExceptionCard,
    ExceptionKind,
    Proposal,
    Reading,
    Risk,
    TouchRecord,
)
from tutti.approvals.content import exactly, in_doubt
from tutti.approvals.inbox import KIND_STYLE, due
from tutti.approvals.wording import holding, length, when
from tutti.render import clock, entries, hits_table, plain, score_line, words

STATUS_STYLE = {
    ApprovalStatus.PENDING: "bold magenta",
    ApprovalStatus.APPROVED: "bold green",
    ApprovalStatus.SETTLED: "bold green",
    ApprovalStatus.MODIFIED: "yellow",
    ApprovalStatus.SENT_BACK: "yellow",
    ApprovalStatus.REJECTED: "bold red",
    ApprovalStatus.EXPIRED: "dim",
    ApprovalStatus.WITHDRAWN: "dim",
}
_WHY = "--code CODE --comment WHY"
_COMMANDS = {
    Answer.APPROVE: "tutti approve {}",
    Answer.REJECT: f"tutti reject {{}} {_WHY}",
    Answer.MODIFY: f"tutti approval modify {{}} --text FILE {_WHY}",
    Answer.SEND_BACK: f"tutti approval send-back {{}} {_WHY}",
}
_SETTLING = {
    ExceptionKind.AMBIGUITY: f"tutti approval settle {{}} --stage STAGE {_WHY}",
    ExceptionKind.IN_DOUBT: f"tutti approval settle {{}} --found handed_over|not_handed_over {_WHY}",
}


def drawn(card: ExceptionCard, trail: list[ApprovalStepFact], now: datetime) -> RenderableType:
    """Return the whole card.

    Args:
        card: What the account says.
        trail: What happened to the question so far, as far as the ledger knows.
        now: The moment of the look.
    """
    parts: list[RenderableType] = [_head(card, now), Text()]
    for title, content in _sections(card, trail, now):
        parts += [Text(title, style="bold"), Padding(content, (0, 0, 1, 2))]
    return Group(*parts, _foot(card))


def shortly(card: ExceptionCard) -> RenderableType:
    """Return what an answer is about to be given for: the question and the exact content."""
    approval = card.approval
    parts: list[RenderableType] = [
        Text.assemble((f"{card.account_id}/{approval.approval_id}", "bold"), "  ", plain(approval.message))
    ]
    if approval.status is not ApprovalStatus.PENDING:
        return parts[0]
    if card.touch is not None:
        parts.append(Text(f"  touch {card.touch.touch_id} over {card.touch.channel}"))
    elif card.proposal is not None:
        parts.append(Padding(exactly(card, card.proposal), (0, 0, 0, 2)))
    parts.append(Text(f"  digest {approval.digest[:12]}", "dim"))
    return Group(*parts)


def briefly(card: ExceptionCard) -> RenderableType:
    """Return on one line what an answer is about to be given for, as one of several."""
    proposal = card.proposal
    if proposal is None or card.approval.status is not ApprovalStatus.PENDING:
        return Text(plain(card.approval.message), "dim")
    whom = f" to {plain(card.recipient.name)}" if card.recipient is not None else ""
    says = plain(proposal.content.subject or proposal.content.text[:80].replace("\n", " "))
    return Text(f"{words(proposal.action)} over {proposal.channel}{whom}: {says}", "dim")


def told_trail(trail: list[ApprovalStepFact]) -> RenderableType:
    """Return what happened to a question, one line a step."""
    table = entries()
    for fact in trail:
        step = fact.step
        detail = f": {plain(step.detail)}" if step.detail else ""
        table.add_row(
            Text(clock(fact.at), "dim"),
            Text(f"{words(step.kind.value)} by {plain(step.actor)} over {step.via.value}{detail}"),
        )
    return table


def ended(approval: Approval) -> str:
    """Say how a question ended, and what was said."""
    by = f" by {plain(approval.answered_by)}" if approval.answered_by else ""
    at = f" at {clock(approval.answered_at)}" if approval.answered_at else ""
    code = f" ({words(approval.code.value)})" if approval.code else ""
    comment = f": {plain(approval.comment)}" if approval.comment else ""
    return f"{words(approval.status.value)}{by}{at}{code}{comment}"


def _head(card: ExceptionCard, now: datetime) -> RenderableType:
    approval = card.approval
    name = plain(card.account.name) if card.account is not None else "no profile yet"
    title = Text.assemble(
        (words(approval.kind.value), KIND_STYLE[approval.kind]), f" on {card.account_id} ({name})  "
    )
    title.append(words(approval.status.value), STATUS_STYLE[approval.status])
    if approval.status is ApprovalStatus.PENDING:
        title.append(", ").append_text(due(approval, now))
    if approval.route.risk is Risk.HIGH:
        title.append("  high risk", "bold red")
    lines = [title, Text(f"{card.account_id}/{approval.approval_id}", "bold", overflow="fold")]
    if approval.status is not ApprovalStatus.PENDING:
        lines.append(Text(ended(approval)))
    elif held := holding(approval, now):
        lines.append(Text(held, "yellow"))
    return Group(*lines)


def _sections(
    card: ExceptionCard, trail: list[ApprovalStepFact], now: datetime
) -> Iterator[tuple[str, RenderableType]]:
    yield "Why you are asked", _why(card, now)
    if card.proposal is not None:
        yield "Exactly this", exactly(card, card.proposal)
        yield "Who proposed it, on what evidence", _proposed(card.proposal, now)
    if card.touch is not None:
        yield "The touch in doubt", in_doubt(card, card.touch, now)
    if card.recipient is not None:
        yield "May they be contacted", Text(_consent(card, card.recipient))
    if card.approval.kind is ExceptionKind.AMBIGUITY or card.readings:
        yield "How the account is read", _readings(card, now)
    if card.decision is not None:
        yield "Every rule that fired", _rules(card.decision)
    if card.rivals:
        yield "The rivals", _rivals(card)
    yield "The last touches", _touches(card.touches, now)
    if card.holds:
        yield "Holds", _holds(card)
    yield "Who may answer, and until when", _times(card.approval, now)
    if card.consequences:
        yield "What happens", _consequences(card)
    if trail:
        yield "So far", told_trail(trail)


def _why(card: ExceptionCard, now: datetime) -> RenderableType:
    approval = card.approval
    rule = f"  {approval.rule_id}" if approval.rule_id else ""
    return Group(
        Text(plain(approval.message)),
        Text(
            f"{approval.reason.value}{rule}  asked {length(approval.requested_at, now)} ago by "
            f"{approval.actor or 'tutti'}",
            "dim",
        ),
    )


def _proposed(proposal: Proposal, now: datetime) -> RenderableType:
    table = entries()
    intent = f", to {words(proposal.intent)}" if proposal.intent else ""
    table.add_row(Text("proposed by", "dim"), Text(f"{proposal.actor}{intent}"))
    table.add_row(
        Text("it says", "dim"),
        Text(
            f"worth {proposal.value:,.0f} if it works, and {proposal.propensity:.0%} likely to; "
            f"{proposal.confidence:.0%} sure of its numbers"
        ),
    )
    aged = f" (the newest {length(proposal.evidence_at, now)} old)" if proposal.evidence_at else ""
    evidence = [Text(plain(line)) for line in proposal.evidence] or [Text("none", "yellow")]
    table.add_row(Text(f"evidence{aged}", "dim"), Group(*evidence))
    if proposal.play is not None:
        table.add_row(Text("play", "dim"), f"{proposal.play.run_id}, step {proposal.play.step}")
    return table


def _consent(card: ExceptionCard, person: Contact) -> str:
    left = f"; left the company at {person.left_at:%Y-%m-%d}" if person.left_at else ""
    return plain(card.consent or words(person.consent.value)) + left


def _readings(card: ExceptionCard, now: datetime) -> RenderableType:
    table = entries()
    if card.assessment is not None:
        found = card.assessment
        table.add_row(
            Text("all in all", "dim"),
            f"{words(found.stage.value)}, urgency {found.urgency:.2f}, disagreement {found.disagreement:.2f}",
        )
    stage = card.assessment.stage if card.assessment is not None else None
    for reading in card.readings:
        table.add_row(
            Text(reading.system, "dim"), _reading(reading, now, dissents=reading.stage is not stage)
        )
    return table


def _reading(reading: Reading, now: datetime, *, dissents: bool) -> Text:
    note = f": {plain(reading.note)}" if reading.note else ""
    return Text(
        f"{words(reading.stage.value)}, urgency {reading.urgency:.2f}, confidence {reading.confidence:.2f}, "
        f"{length(reading.observed_at, now)} old{note}",
        "yellow" if dissents else "",
    )


def _rules(decision: Decision) -> RenderableType:
    parts: list[RenderableType] = [
        hits_table(decision.hits) if decision.hits else Text("no rule objected", "dim")
    ]
    if decision.score is not None:
        rank = f", rank {decision.rank}" if decision.rank else ""
        parts.append(Text(f"score {score_line(decision.score)}{rank}", "dim"))
    parts.append(Text(f"decision {decision.decision_id} under policy {decision.policy_digest[:12]}", "dim"))
    return Group(*parts)


def _rivals(card: ExceptionCard) -> RenderableType:
    table = entries()
    for rival in card.rivals:
        score = f", score {rival.score:,.0f}" if rival.score is not None else ""
        said = f": {plain(rival.said)}" if rival.said else ""
        table.add_row(
            Text(rival.proposal_id, "dim"),
            Text(
                f"{rival.actor} wants {words(rival.action)} over {rival.channel}{score}, "
                f"{words(rival.status.value)}{said}"
            ),
        )
    return table


def _touches(touches: tuple[TouchRecord, ...], now: datetime) -> RenderableType:
    if not touches:
        return Text("none yet")
    table = entries()
    for touch in touches:
        whom = f" to {touch.contact_id}" if touch.contact_id else ""
        elsewhere = "" if touch.governed else " (made elsewhere)"
        back = ", ".join(words(kind.value) for kind in touch.outcomes) or "nothing came back yet"
        table.add_row(
            Text(f"{length(touch.at, now)} ago", "dim"),
            Text(
                f"{words(touch.action)} over {touch.channel}{whom} by {touch.actor}, "
                f"{words(touch.status.value)}{elsewhere}: {back}"
            ),
        )
    return table


def _holds(card: ExceptionCard) -> RenderableType:
    table = entries()
    for hold in card.holds:
        until = f", until {clock(hold.expires_at)}" if hold.expires_at else ""
        table.add_row(Text(hold.hold_id, "dim"), Text(plain(f"by {hold.placed_by}{until}: {hold.reason}")))
    return table


def _times(approval: Approval, now: datetime) -> RenderableType:
    route, table = approval.route, entries()

    def say(what: str, text: str) -> None:
        table.add_row(Text(what, "dim"), Text(plain(text)))

    say("asked", f"{route.group}: {', '.join(approval.asked) or 'nobody'}")
    for delegate, principal in sorted(route.delegates.items()):
        say("stands in", f"{delegate} for {principal}")
    if route.quorum > 1:
        who = ", ".join(each.in_words for each in approval.agreements) or ", ".join(approval.approvers)
        say("agreed", f"{approval.progress}" + (f": {who}" if who else ""))
    for seat in route.seats:
        say("must be heard", f"{seat.group}: {', '.join(seat.approvers)}")
    if route.excluded:
        say("may not answer", f"{', '.join(route.excluded)} (proposed it, owns the agent, or wrote it)")
    if approval.status is not ApprovalStatus.PENDING:
        return table
    if route.due_at is not None:
        say("due", when(route.due_at, now))
    for number, reminder in enumerate(route.reminders):
        say("reminded" if number < approval.reminded else "reminder", when(reminder, now))
    for number, level in enumerate(route.levels):
        done = "asked as well" if number < approval.level else "asked as well from"
        say(done, f"{when(level.at, now)} {level.group}: {', '.join(level.approvers)}")
    say("expires", f"{when(route.expires_at, now)}; then {words(route.on_expiry.value)}, never sent")
    return table


def _consequences(card: ExceptionCard) -> RenderableType:
    table = entries()
    for each in card.consequences:
        table.add_row(
            Text(words(each.answer.value) if each.answer is not None else "nobody answers", "bold"),
            Text(plain(each.text)),
        )
    return table


def _foot(card: ExceptionCard) -> RenderableType:
    approval = card.approval
    lines = [Text(f"digest {approval.digest}", "dim", overflow="fold")]
    if approval.status is ApprovalStatus.PENDING:
        question = shlex.quote(f"{card.account_id}/{approval.approval_id}")
        commands = _COMMANDS | {Answer.SETTLE: _SETTLING.get(approval.kind, "")}
        lines += [
            Text(commands[each.answer].format(question), overflow="fold")
            for each in card.consequences
            if each.answer in commands
        ]
    return Group(*lines)
