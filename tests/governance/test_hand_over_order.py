"""A touch has a place in its channel's queue by arbitration, and channels say what they can do."""

from __future__ import annotations

from pathlib import Path

import pytest

from governance import PolicyError, load_policy_set
from tests.governance.worlds import edited, email, only, policies, request, rule


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"value": 40_000.0, "propensity": 0.3}, 2),
        ({"value": 10_000.0, "propensity": 0.1}, 3),
        ({"action": "send_invoice", "actor": "dana.reyes", "value": 1.0}, 1),
    ],
)
def test_the_first_entry_that_matches_gives_the_place(changes: dict[str, object], place: int) -> None:
    handover = only(policies(), email(**changes)).handover

    assert handover is not None
    assert handover.priority == place


def test_a_condition_that_gives_no_answer_gives_no_better_place(tmp_path: Path) -> None:
    asked = "{priority: 1, when: assessment.urgency > 0.1}"
    folder = edited(tmp_path, "arbitration.yaml", ("{priority: 1, when: proposal.operational}", asked))

    handover = only(load_policy_set(folder), email(value=10.0)).handover

    assert handover is not None
    assert handover.priority == 3


def test_only_what_is_allowed_is_handed_over() -> None:
    (decision,) = rule(policies(), request(email(actor="nobody"))).decisions

    assert decision.handover is None


def test_channels_say_whether_they_recall_and_how_fast_they_are() -> None:
    channels = policies().channels

    assert channels["sdr_task"].handover.recalls
    assert not channels["email"].handover.recalls
    assert channels["email"].content_parts == ("subject", "text")
    assert channels["email"].placeholders == ("unsubscribe_url",)
    assert channels["email"].per_second is not None


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("[subject, text], placeholders", "[subjct, text], placeholders", "subject"),
        ("[unsubscribe_url]", "[unsubscribe]", "did you mean `unsubscribe_url`?"),
        ("per_second: 20\n", "per_second: 0\n", "more than 0"),
        ("recall: false\n", "recall: maybe\n", "true or false"),
    ],
)
def test_what_a_channel_says_is_checked(tmp_path: Path, old: str, new: str, words: str) -> None:
    with pytest.raises(PolicyError, match=r"channels\.yaml") as caught:
        load_policy_set(edited(tmp_path, "channels.yaml", (old, new)))

    assert words in str(caught.value)
