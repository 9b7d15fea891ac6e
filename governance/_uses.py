"""What a proposal says: the template it is made from, found out and not believed, and its claims."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from domain import Account, Candidate, Contact, Proposal, ReasonCode, RulingRequest, Use, UseKind, Verdict
from governance._case import Case, Origin
from governance.content import Content, Speaking, Unlike, unlike
from governance.families._firsts import apply_claims, apply_first_use, claims_of

if TYPE_CHECKING:
    from governance._policy_set import PolicySet

_RULE_ID: Final = "engine.not_the_template"


def apply_uses(policies: PolicySet, case: Case) -> tuple[Use, ...]:
    """Collect what rules say about the template and the claims of a proposal, and return what it says.

    A template that the proposal only pretends to be made from is never among them, so nothing that was
    approved for the template counts for it.
    """
    firsts = policies.approvals.firsts
    apply_claims(firsts, case)
    made_from = template_of(policies, case.candidate, case.account, case.contact)
    if isinstance(made_from, Origin):
        case.hits.append(made_from.hit(Verdict.DENY, ReasonCode.NOT_THE_TEMPLATE))
        made_from = None
    templates = (made_from,) if made_from is not None else ()
    uses = (*templates, *claims_of(firsts, case.candidate.proposal.claims))
    apply_first_use(firsts, case, uses)
    return uses


def uses(policies: PolicySet, request: RulingRequest) -> tuple[Use, ...]:
    """Return the templates and claims of which a ruling wants to know whether they have gone out before.

    The ruling wants the keys of those that have as `Standing.used`; what is missing there is new.
    """
    if request.account is None:
        return ()
    found: dict[str, Use] = {}
    for candidate in request.candidates:
        proposal = candidate.proposal
        contact = request.contacts.get(proposal.contact_id) if proposal.contact_id is not None else None
        made_from = template_of(policies, candidate, request.account, contact)
        said = (*claims_of(policies.approvals.firsts, proposal.claims),)
        said += (made_from,) if isinstance(made_from, Use) else ()
        found |= {use.key: use for use in said}
    return tuple(found[key] for key in sorted(found))


def windowed(request: RulingRequest) -> tuple[tuple[str, str, str, str], ...]:
    """Return the actor, action, channel and template of the candidates that window approvals may cover."""
    proposals = (candidate.proposal for candidate in request.candidates)
    return tuple(
        sorted({(p.actor, p.action, p.channel, p.template) for p in proposals if p.template is not None})
    )


def template_of(
    policies: PolicySet, candidate: Candidate, account: Account, contact: Contact | None
) -> Use | Origin | None:
    """Return the template that a proposal is made from, the denial if it is not, None if it names none.

    It is filled in again with what is known now. A proposal that was made before the account's name or the
    person's has changed no longer says what the template gives, and is denied: its actor can make it again.
    Two are not denied but count as words of their own, which nothing was approved for: the step of a play
    that keeps an older version of its text, and what a person has edited since.
    """
    proposal = candidate.proposal
    if proposal.template is None:
        return None
    if candidate.made_from is not None and candidate.made_from.name == proposal.template:
        template = policies.contents.get(proposal.template)
        return candidate.made_from if template is not None else _missing(proposal)
    template = policies.contents.get(proposal.template)
    wrong = _unlike(policies, proposal, template, Speaking(account, contact, None, proposal.actor))
    if wrong is None and template is not None:
        return Use(kind=UseKind.TEMPLATE, name=proposal.template, version=template.version)
    if proposal.play is not None or proposal.edited_by:
        return None
    if template is None or wrong is None:
        return _missing(proposal)
    message = f"It does not say what the template {proposal.template} gives today: {wrong.message}."
    line = template.lines[wrong.part] if wrong.part is not None else 1
    return Origin(_RULE_ID, "engine", message, template.file, line)


def _unlike(
    policies: PolicySet, proposal: Proposal, template: Content | None, speaking: Speaking
) -> Unlike | None:
    if template is None:
        return None
    if template.channels is not None and proposal.channel not in template.channels:
        return Unlike(None, f"it is not written for the channel {proposal.channel}")
    if proposal.play is not None and proposal.play.play_id in policies.plays:
        play = policies.plays[proposal.play.play_id]
        speaking = Speaking(speaking.account, speaking.contact, play.name, play.actor)
    return unlike(template, proposal.content, speaking)


def _missing(proposal: Proposal) -> Origin:
    return Origin(_RULE_ID, "engine", f"There is no template {proposal.template} under content/.")
