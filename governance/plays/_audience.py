"""Whom a touch addresses: somebody with the role whom the channel reaches and who may be addressed."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from domain import Contact, PlayRun, Role

if TYPE_CHECKING:
    from governance._case import Channel
    from governance.plays._play import Option
    from governance.plays._world import World


def choose(
    option: Option, world: World, run: PlayRun, taken: Collection[str], before: str | None
) -> Contact | None:
    """Return the person for a touch; None if there is nobody.

    Within a role it is who was just tried over another channel, else somebody this run has addressed, the
    latest first, else the smallest contact id: so that a buying group hears one conversation, not several.

    Args:
        option: The way in which the touch is made.
        world: The account.
        run: Whose touch it is.
        taken: People whom the same step addresses already.
        before: Whom the step has just tried to address over another channel, if anybody.
    """
    channel = world.policies.channels.get(option.channel)
    able = {
        name: contact
        for name, contact in world.request.contacts.items()
        if name not in taken and reachable(contact, channel)
    }
    if option.same_as is not None:
        return able.get(_person_of(option.same_as, world, run) or "")
    known = [before, *reversed(world.addressed(run))]
    for role in option.roles:
        found = _with_role(role, able, known)
        if found is not None:
            return found
    return None


def reachable(contact: Contact, channel: Channel | None) -> bool:
    """Tell whether a person may be addressed at all, and over this channel."""
    if contact.opted_out_at is not None or contact.left_at is not None:
        return False
    if channel is None:
        return True  # the ruling will say that there is no such channel
    return not (
        (channel.needs_email and contact.email is None) or (channel.needs_phone and contact.phone is None)
    )


def _with_role(role: Role, able: dict[str, Contact], known: list[str | None]) -> Contact | None:
    fitting = {name: contact for name, contact in able.items() if contact.role is role}
    if not fitting:
        return None
    return fitting[next((name for name in known if name in fitting), min(fitting)) or ""]


def _person_of(step: str, world: World, run: PlayRun) -> str | None:
    """Return whom the touch of an earlier step has addressed, or was to address."""
    tried = [each.contact_id for each in run.steps if each.step == step and each.contact_id is not None]
    if tried:
        return tried[-1]
    made = [
        touch.contact_id
        for touch in world.touches_of(run)
        if touch.play is not None and touch.play.step == step
    ]
    return made[-1] if made else None
