"""What is checked: a channel as the policy set describes it, and the synthetic touches it gets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from domain import Delivery, Handover, Recipient, Touch, digest_of
from governance import PolicySet
from tutti.terminal import CommandError

DEFAULT_RECIPIENT: Final = "conformance@example.com"
"""A reserved address (RFC 2606): mail to it reaches nobody."""
OBJECTOR: Final = "objector.conformance@example.com"
"""The synthetic person that the check suppresses."""
_NOBODYS_DIGEST: Final = digest_of("conformance")


@dataclass(frozen=True, slots=True)
class Subject:
    """The channel under test.

    Attributes:
        name: Its name in `channels.yaml`.
        handover: Its queue, delivery and time limits.
        needs_person: Whether it needs somebody's address or telephone number.
        source: Which policy set says so, for people.
    """

    name: str
    handover: Handover
    needs_person: bool
    source: str

    @property
    def at_most_once(self) -> bool:
        """Whether the same touch may reach the provider once at most."""
        return self.handover.delivery is Delivery.AT_MOST_ONCE


def subject_of(name: str, policies: PolicySet, source: str, task_queue: str | None) -> Subject:
    """Look a channel up.

    Args:
        name: The channel.
        policies: The policy set.
        source: What to call the set.
        task_queue: Where its worker listens, if not where the set says.

    Raises:
        CommandError: The set has no such channel.
    """
    found = policies.channels.get(name)
    if found is None:
        raise CommandError(
            f"there is no channel {name!r} in channels.yaml of {source}; it knows "
            f"{', '.join(sorted(policies.channels))}; add an entry, or name another set with --policies"
        )
    handover = found.handover
    if task_queue is not None:
        handover = handover.model_copy(update={"task_queue": task_queue})
    return Subject(
        name=name, handover=handover, needs_person=found.needs_email or found.needs_phone, source=source
    )


@dataclass(frozen=True, slots=True)
class Touches:
    """Makes the touches of one run of the check: well-formed, and of an account that does not exist.

    Attributes:
        channel: The channel's name.
        run: Distinguishes this run from all others.
        policy_digest: Of the policy set in force, under which they would have been ruled on.
        to: Whom they are for.
        action: What kind they are.
        fields: Further values that the channel wants.
    """

    channel: str
    run: str
    policy_digest: str
    to: str
    action: str
    fields: Mapping[str, str]

    @property
    def account_id(self) -> str:
        """The synthetic account."""
        return f"conformance-{self.run}"

    def touch(self, label: str, **changes: object) -> Touch:
        """Return a touch of its own.

        Args:
            label: Becomes a part of its ids; the same label gives the same touch.
            changes: Fields that differ; they are checked like all others.
        """
        return Touch.model_validate(
            {
                "touch_id": f"{self.account_id}/{label}/1",
                "account_id": self.account_id,
                "account_name": "Tutti conformance check",
                "proposal_id": label,
                "decision_id": f"{self.account_id}/1/{label}",
                "actor": "conformance",
                "channel": self.channel,
                "action": self.action,
                "recipient": Recipient(contact_id="conformance", name="Conformance check", email=self.to),
                "subject": "Conformance check of a channel",
                "text": "This is a test of a channel by `tutti channel verify`. Please ignore it.",
                "fields": dict(self.fields),
                "good_until": datetime.now(UTC) + timedelta(hours=1),
                "digest": _NOBODYS_DIGEST,
                "policy_digest": self.policy_digest,
            }
            | changes
        )


def as_json(touch: Touch) -> dict[str, Any]:
    """Return a touch as it travels."""
    return touch.model_dump(mode="json")
