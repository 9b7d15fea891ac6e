"""The same request under the same files gives the same ruling, byte for byte, in every process."""

import hashlib

from tests.governance.worlds import (
    DEFAULT,
    NOW,
    email,
    executive,
    nurture,
    personalization,
    policies,
    printed_elsewhere,
    request,
    rule,
    touch,
)


def ruling_digest() -> str:
    """Return the digest of a ruling with winner, losers, approval and full caps."""
    earlier = tuple(
        touch(NOW.replace(day=day), contact_id="influencer", channel="email") for day in (2, 12, 15)
    )
    asked = request(
        email(),
        nurture(),
        personalization(),
        executive(),
        email(proposal_id="sdr-2", contact_id="influencer"),
        email(proposal_id="sdr-3", contact_id="practitioner", actor="stranger"),
        touches=earlier,
    )
    return hashlib.sha256(rule(policies(DEFAULT), asked).model_dump_json().encode()).hexdigest()


def test_no_hash_seed_changes_a_ruling() -> None:
    script = "from tests.governance.test_determinism import ruling_digest; print(ruling_digest())"

    elsewhere = printed_elsewhere(script, "1", "4242")

    assert elsewhere == {ruling_digest()}


def test_ruling_twice_changes_nothing() -> None:
    assert ruling_digest() == ruling_digest()
