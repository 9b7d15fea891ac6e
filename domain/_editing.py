"""Editing: an approver's own version of a proposal, with a digest of its own."""

from __future__ import annotations

from pydantic import ValidationError

from domain._approval import ApprovalAnswer
from domain._proposal import Proposal
from domain._state import OpenProposal
from domain._vocabulary import ProposalStatus


def edited(item: OpenProposal, given: ApprovalAnswer, account_id: str) -> OpenProposal | str:
    """Return a proposal as an approver wants it, waiting to be ruled again; or why that is no proposal.

    The editor is named in it, so that its digest is a new one even if they put everything back, and cannot
    approve it. Nobody's earlier yes counts for it.
    """
    changes, before = given.changes, item.proposal
    if changes is None:
        return "modify needs changes: what is to be different"
    said = {name: getattr(changes, name) for name in changes.model_fields_set}
    said = {name: value for name, value in said.items() if value is not None}
    if all(getattr(before, name) == value for name, value in said.items()):
        return "the changes change nothing; approve it, or say what is to be different"
    if "content" in said:
        said["template"] = None  # it is no longer what the template says
    said["edited_by"] = tuple(dict.fromkeys((*before.edited_by, given.approver)))
    try:
        after = Proposal.model_validate({**before.model_dump(), **said})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return f"the changes make no proposal: {where}: {first['msg']}"
    expires_at = min(item.expires_at, after.expires_at or item.expires_at)
    return item.unapproved(
        proposal=after,
        original=item.original or before,
        digest=after.digest(account_id),
        first_digest=item.first_digest or item.digest,
        edited_by=tuple(dict.fromkeys((*item.edited_by, given.approver))),
        expires_at=expires_at,
        status=ProposalStatus.DEFERRED,
    )
