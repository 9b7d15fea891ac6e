"""Which processes `tutti up` runs depends on the channels that the policy set names."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from tutti.local import Layout, Paths, Ports, Secrets, standard_children


@pytest.mark.parametrize(
    ("channels", "workers"),
    [
        (("email", "webhook"), {"email", "webhook"}),
        (("email",), {"email"}),
        (("email", "sms"), {"email"}),
        (("email", "sdr_task"), {"email", "sdr_task", "vendors"}),
        (
            ("paid_media", "sdr_task", "web_personalization", "webhook"),
            {"paid_media", "sdr_task", "web_personalization", "webhook", "vendors"},
        ),
        (("email", "executive"), {"email", "executive"}),
    ],
)
def test_only_named_channels_that_came_with_tutti_get_a_worker(
    tmp_path: Path, channels: tuple[str, ...], workers: set[str]
) -> None:
    secrets = Secrets(signing_key=SecretStr("k" * 32), webhook_secret=SecretStr("whsec_" + "k" * 32))
    layout = Layout(paths=Paths(home=tmp_path), ports=Ports(), secrets=secrets, policies=tmp_path)

    names = {child.name for child in standard_children(layout, channels)}

    assert names == {"temporal", "migrate", "sinks", "orchestrator", "gateway"} | workers
