"""Making the card of an exception from what the account knows."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from domain._account import Contact
from domain._approval import Approval
from domain._base import in_words, one_line
from domain._card import Consequence, ExceptionCard, Rival
from domain._exception_words import Answer, ApprovalStatus, ExceptionKind
from domain._state import AccountState, ClosedProposal, OpenProposal
from domain._vocabulary import ReasonCode, Verdict

TOUCHES_SHOWN = 10
RIVALS_SHOWN = 20


def card_of(state: AccountState, approval_id: str) -> ExceptionCard | None:
    """Return the card of an exception as things stand now; None if the account does not remember it."""
    approval = state.approvals.get(approval_id)
    if approval is None:
        return None
    item = state.open.get(approval.proposal_id or "") or state.closed.get(approval.proposal_id or "")
    proposal = item.proposal if item is not None else None
    contact_id = approval.contact_id or (proposal.contact_id if proposal is not None else None)
    recipient = state.contacts.get(contact_id) if contact_id is not None else None
    doubt = state.in_doubt.get(approval.touch_id or "")
    is_open = isinstance(item, OpenProposal)
    touches = sorted(state.touches.values(), key=lambda touch: (touch.at, touch.touch_id), reverse=True)
    return ExceptionCard(
        account_id=state.account_id,
        account=state.account,
        approval=approval,
        proposal=proposal,
        original=item.original if isinstance(item, OpenProposal) else None,
        edited_by=item.edited_by if isinstance(item, OpenProposal) else (),
        recipient=recipient,
        consent=_consent(recipient) if recipient is not None else None,
        decision=item.decision if item is not None else None,
        rivals=tuple(islice(_rivals(state, item), RIVALS_SHOWN)) if is_open and item is not None else (),
        touches=tuple(touches[:TOUCHES_SHOWN]),
        assessment=state.assessment,
        readings=tuple(state.readings[system] for system in sorted(state.readings)),
        holds=tuple(state.holds.values()),
        touch=doubt.touch if doubt is not None else None,
        doubt=one_line(doubt.detail) if doubt is not None else None,
        doubt_since=doubt.raised_at if doubt is not None else None,
        consequences=tuple(_consequences(approval)) if approval.status is ApprovalStatus.PENDING else (),
    )


def _consent(contact: Contact) -> str:
    if contact.opted_out_at is not None:
        return f"objected at {contact.opted_out_at:%Y-%m-%d}; nothing may go out"
    basis = contact.consent_basis.value.replace("_", " ") if contact.consent_basis else "no basis on record"
    since = f", since {contact.consent_at:%Y-%m-%d}" if contact.consent_at else ""
    return f"{contact.consent.value} ({basis}{since})"


def _rivals(state: AccountState, item: OpenProposal | ClosedProposal) -> Iterator[Rival]:
    """Yield those it was judged with, then the others that wait."""
    own = item.proposal.proposal_id
    named = item.decision.rivals if item.decision is not None else ()
    for proposal_id in dict.fromkeys((*named, *sorted(state.open))):
        rival = state.open.get(proposal_id) or state.closed.get(proposal_id)
        # A planted test never meets its rivals.
        planted = isinstance(rival, OpenProposal) and rival.seeded_by is not None
        ended = isinstance(rival, ClosedProposal) and rival.reason is ReasonCode.SEEDED
        if rival is None or proposal_id == own or planted or ended:
            continue
        decision = rival.decision
        said = next((hit.message for hit in decision.hits), None) if decision is not None else None
        yield Rival(
            proposal_id=proposal_id,
            actor=rival.proposal.actor,
            action=rival.proposal.action,
            channel=rival.proposal.channel,
            status=rival.status,
            score=decision.score.total if decision is not None and decision.score is not None else None,
            said=rival.message if isinstance(rival, ClosedProposal) else said,
        )


def _consequences(approval: Approval) -> Iterator[Consequence]:
    """Say what each answer leads to, and what silence does."""
    match approval.kind:
        case ExceptionKind.ACTION:
            yield from _of_action(approval)
        case ExceptionKind.AMBIGUITY:
            yield _then(Answer.SETTLE, "The stage you name counts until the readings change.")
        case ExceptionKind.IN_DOUBT:
            yield _then(Answer.SETTLE, "It counts as you found it, and is never sent again by itself.")
        case ExceptionKind.CONFLICT if approval.holds:
            holds = in_words(approval.holds)
            yield _then(Answer.APPROVE, f"The holds that stop it end ({holds}), and it is ruled again.")
            yield _then(Answer.REJECT, "What was approved is dropped; the holds stay.")
        case ExceptionKind.CONFLICT:
            yield _then(Answer.APPROVE, "It goes on waiting for its turn, and you are not asked again.")
            yield _then(Answer.REJECT, "It is dropped.")
        case ExceptionKind.REVIEW:
            yield _then(Answer.APPROVE, "Your finding that it was right goes on record.")
            yield _then(Answer.REJECT, "Your finding that it was wrong goes on record.")
    yield Consequence(answer=None, text=one_line(_silence(approval)))


def _of_action(approval: Approval) -> Iterator[Consequence]:
    left = approval.route.quorum - len(approval.approvers)
    more = f"Once {left} persons have agreed, it" if left > 1 else "It"
    yield _then(Answer.APPROVE, f"{more} is ruled again, and goes out if no rule speaks against it.")
    yield _then(Answer.REJECT, "It is denied for good.")
    yield _then(Answer.MODIFY, "Your version is ruled again; if it needs a yes, somebody else gives it.")
    yield _then(Answer.SEND_BACK, "It ends, and whoever proposed it learns what to do better.")


def _silence(approval: Approval) -> str:
    at = f"{approval.route.expires_at:%Y-%m-%d %H:%M}Z"
    denied = approval.route.on_expiry is Verdict.DENY
    match approval.kind:
        case ExceptionKind.ACTION | ExceptionKind.CONFLICT:
            return f"If nobody answers by {at}, it is {'denied' if denied else 'suppressed'}; never sent."
        case ExceptionKind.AMBIGUITY:
            return f"If nobody answers by {at}, nothing that needs the stage goes out."
        case ExceptionKind.IN_DOUBT:
            return f"If nobody answers by {at}, it stays in doubt: counted, and never sent again."
        case ExceptionKind.REVIEW:
            return f"If nobody answers by {at}, it stays on record as not reviewed."


def _then(answer: Answer, text: str) -> Consequence:
    return Consequence(answer=answer, text=text)
