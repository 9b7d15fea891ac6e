"""The orchestrator tells people by the media that its environment names, at the addresses in force."""

from pathlib import Path

import pytest

import worker
from activities.policies import PolicyKeeper, publish_first
from domain import NoticeReport
from governance import load_policy_set
from ledger import Ledger
from tests.channels.support import mail_server
from tests.notices.support import a_notice, messages, tell
from tutti.settings import Settings, SettingsError

POLICIES = Path(__file__).parents[2] / "policies"


@pytest.fixture
def with_an_address(tmp_path: Path) -> Path:
    """The policies of this repository, in which one person has an address and the others have none."""
    folder = tmp_path / "policies"
    folder.mkdir()
    for file in POLICIES.rglob("*"):
        to = folder / file.relative_to(POLICIES)
        if file.is_dir():
            to.mkdir(parents=True, exist_ok=True)
        else:
            to.parent.mkdir(parents=True, exist_ok=True)
            to.write_bytes(file.read_bytes())
    people = folder / "people.yaml"
    lines = people.read_text("utf-8").splitlines(keepends=True)
    written = [
        "  - {id: dana.reyes, kind: person, email: dana@example.com}\n" if "id: dana.reyes" in line else line
        for line in lines
    ]
    people.write_text("".join(written), "utf-8")
    return folder


async def keeper_of(ledger: Ledger, folder: Path) -> PolicyKeeper:
    policies = load_policy_set(folder)
    await publish_first(ledger, policies)
    return PolicyKeeper(ledger, policies)


async def test_a_person_is_told_at_the_address_in_the_policies_in_force(
    monkeypatch: pytest.MonkeyPatch, ledger: Ledger, with_an_address: Path
) -> None:
    async with mail_server() as relay:
        for name, value in (
            ("NOTICES_HOST", "127.0.0.1"),
            ("NOTICES_PORT", str(relay.port)),
            ("NOTICES_SENDER", "tutti@example.com"),
            ("NOTICES_STARTTLS", "off"),
            ("SIGNING_KEY", "k" * 32),
        ):
            monkeypatch.setenv(f"TUTTI_{name}", value)
        keeper = await keeper_of(ledger, with_an_address)

        report = await tell(worker.notifying_of(keeper, ledger, Settings.load()), a_notice())

    assert report.delivered == ("dana.reyes by mail",)
    (message,) = messages(relay)
    assert message["To"] == "dana@example.com"


async def test_an_environment_that_names_no_medium_is_fine(ledger: Ledger, with_an_address: Path) -> None:
    keeper = await keeper_of(ledger, with_an_address)

    report = await tell(worker.notifying_of(keeper, ledger, Settings.load()), a_notice())

    assert report == NoticeReport(notice_id=a_notice().notice_id)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("TUTTI_SIGNING_KEY", "", r"^TUTTI_SIGNING_KEY is not set, and the links in mails need it"),
        ("TUTTI_PUBLIC_URL", "http://tutti.example.com", r"^TUTTI_PUBLIC_URL must begin with https://"),
    ],
)
async def test_mails_that_could_hold_no_links_are_no_way_to_start(
    monkeypatch: pytest.MonkeyPatch,
    ledger: Ledger,
    with_an_address: Path,
    *,
    name: str,
    value: str,
    says: str,
) -> None:
    monkeypatch.setenv("TUTTI_NOTICES_HOST", "127.0.0.1")
    monkeypatch.setenv("TUTTI_NOTICES_SENDER", "tutti@example.com")
    monkeypatch.setenv("TUTTI_SIGNING_KEY", "k" * 32)
    monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name)
    keeper = await keeper_of(ledger, with_an_address)

    with pytest.raises(SettingsError, match=says):
        worker.notifying_of(keeper, ledger, Settings.load())
