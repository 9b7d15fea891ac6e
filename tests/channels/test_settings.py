from pathlib import Path

import pytest

import tutti.local
from activities.channels import (
    CHANNELS,
    ChannelSettings,
    ChannelSettingsError,
    EmailSettings,
    ExecutiveSettings,
    PaidMediaSettings,
    SdrTaskSettings,
    StartTls,
    UnknownChannelError,
    WebhookSettings,
    WebPersonalizationSettings,
    build_channel,
    read_settings,
)
from domain import Recall, Recalled, Receipt, Touch
from ledger import Ledger
from tests.channels.support import LINKS

EMAIL = {"TUTTI_EMAIL_HOST": "mail.example.com", "TUTTI_EMAIL_SENDER": "Northwind <sales@example.com>"}
EXECUTIVE = {
    "TUTTI_EXECUTIVE_HOST": "mail.example.com",
    "TUTTI_EXECUTIVE_SENDER": "Tutti <tutti@example.com>",
    "TUTTI_EXECUTIVE_DIRECTORY": str(Path(tutti.local.__file__).with_name("executives.yaml")),
}
WEBHOOK = {"TUTTI_WEBHOOK_URL": "https://crm.example.com/", "TUTTI_WEBHOOK_SECRET": "whsec_" + "A" * 32}
VENDORS = {
    f"TUTTI_{channel}_{name}": value
    for channel in ("SDR_TASK", "WEB_PERSONALIZATION", "PAID_MEDIA")
    for name, value in {"BASE_URL": "https://vendor.example.com/api", "TOKEN": "s3cret-token"}.items()
}


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (EMAIL | EXECUTIVE | WEBHOOK | VENDORS).items():
        monkeypatch.setenv(name, value)


def signature(activity: object) -> tuple[str, list[type], type]:
    definition = vars(activity)["__temporal_activity_definition"]
    return definition.name, definition.arg_types, definition.ret_type


async def test_every_channel_hands_over_and_those_that_can_take_back(ledger: Ledger) -> None:
    recalling = set()
    for name in CHANNELS:
        activities = build_channel(name, ledger=ledger, unsubscribe=LINKS)

        # Without the types the engine would pass a dictionary.
        assert signature(activities.hand_over) == ("hand_over", [Touch], Receipt)
        if activities.recall is not None:
            assert signature(activities.recall) == ("recall", [Recall], Recalled)
            recalling.add(name)
        assert list(activities) == [a for a in (activities.hand_over, activities.recall) if a is not None]

    assert recalling == {"sdr_task", "web_personalization", "paid_media"}


async def test_an_unknown_channel_is_named_with_the_known_ones(ledger: Ledger) -> None:
    with pytest.raises(UnknownChannelError, match="no channel 'fax'; known are email, executive, paid_media"):
        build_channel("fax", ledger=ledger, unsubscribe=LINKS)


def test_encryption_is_required_unless_somebody_says_otherwise() -> None:
    assert read_settings(EmailSettings).starttls is StartTls.REQUIRED
    assert str(read_settings(EmailSettings).sender_address) == "Northwind <sales@example.com>"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"TUTTI_EMAIL_HOST": None}, r"^TUTTI_EMAIL_HOST is not set; it must hold the mail server's name$"),
        ({"TUTTI_EMAIL_HOST": ""}, r"^TUTTI_EMAIL_HOST is not set"),
        ({"TUTTI_EMAIL_PORT": "99999"}, r"^TUTTI_EMAIL_PORT is wrong: .*65535"),
        ({"TUTTI_EMAIL_STARTTLS": "maybe"}, r"^TUTTI_EMAIL_STARTTLS is wrong: .*'required', 'if_offered'"),
        ({"TUTTI_EMAIL_SENDER": "sales"}, r"^TUTTI_EMAIL_SENDER is wrong: write it like"),
        ({"TUTTI_EMAIL_SENDER": "a@example.com, b@example.com"}, r"^TUTTI_EMAIL_SENDER is wrong"),
        ({"TUTTI_EMAIL_SENDER": "A <a@example.com>\nBcc: b@example.com"}, r"^TUTTI_EMAIL_SENDER is wrong"),
        ({"TUTTI_EMAIL_BOUNCE_ADDRESS": "bounces"}, r"^TUTTI_EMAIL_BOUNCE_ADDRESS is wrong"),
        (
            {"TUTTI_EMAIL_BOUNCE_ADDRESS": "B <b@example.com>"},
            r"^TUTTI_EMAIL_BOUNCE_ADDRESS is wrong: .* name",
        ),
        (
            {"TUTTI_EMAIL_BOUNCE_ADDRESS": f"{'b' * 20}@example.com"},
            r"is wrong: .*19 characters before the @",
        ),
        ({"TUTTI_EMAIL_POSTAL_ADDRESS": "1 Street\nTown"}, r"^TUTTI_EMAIL_POSTAL_ADDRESS is wrong"),
        ({"TUTTI_EMAIL_TEMPLATES": "/no/such/folder"}, r"^TUTTI_EMAIL_TEMPLATES is wrong: .*director"),
        ({"TUTTI_EMAIL_HOTS": "x"}, r"^TUTTI_EMAIL_HOTS is no setting .* did you mean TUTTI_EMAIL_HOST\?$"),
        ({"TUTTI_EMAIL_USERNAME": "u"}, r"^TUTTI_EMAIL_PASSWORD is not set"),
        (
            {
                "TUTTI_EMAIL_USERNAME": "u",
                "TUTTI_EMAIL_PASSWORD": "hunter2",
                "TUTTI_EMAIL_STARTTLS": "if_offered",
            },
            r"^TUTTI_EMAIL_STARTTLS must be required or implicit",
        ),
    ],
)
def test_a_wrong_mail_setting_is_one_line_that_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, str | None], says: str
) -> None:
    for name, value in changes.items():
        monkeypatch.delenv(name) if value is None else monkeypatch.setenv(name, value)

    with pytest.raises(ChannelSettingsError, match=says) as caught:
        read_settings(EmailSettings)

    assert "\n" not in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"TUTTI_EXECUTIVE_DIRECTORY": None}, r"^TUTTI_EXECUTIVE_DIRECTORY is not set; it must hold a YAML"),
        ({"TUTTI_EXECUTIVE_DIRECTORY": "/no/such/file"}, r"^TUTTI_EXECUTIVE_DIRECTORY is wrong: .*file"),
        ({"TUTTI_EXECUTIVE_USERNAME": "u"}, r"^TUTTI_EXECUTIVE_PASSWORD is not set"),
        ({"TUTTI_EXECUTIVE_SENDER": "tutti"}, r"^TUTTI_EXECUTIVE_SENDER is wrong: write it like"),
        ({"TUTTI_EXECUTIVE_TEMPLATES": "x"}, r"^TUTTI_EXECUTIVE_TEMPLATES is no setting of this channel"),
    ],
)
def test_a_wrong_setting_of_the_executive_channel_names_its_own_variable(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, str | None], says: str
) -> None:
    for name, value in changes.items():
        monkeypatch.delenv(name) if value is None else monkeypatch.setenv(name, value)

    with pytest.raises(ChannelSettingsError, match=says):
        read_settings(ExecutiveSettings)


@pytest.mark.parametrize("secret", ["hunter2", "whsec_hunter2", "whsec_", "A" * 40])
def test_a_webhook_secret_that_does_not_serve_is_never_shown(
    monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    monkeypatch.setenv("TUTTI_WEBHOOK_SECRET", secret)

    with pytest.raises(
        ChannelSettingsError, match=r"^TUTTI_WEBHOOK_SECRET is wrong: write it as whsec_"
    ) as caught:
        read_settings(WebhookSettings)

    assert "hunter2" not in str(caught.value)


def test_settings_do_not_print_their_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUTTI_EMAIL_USERNAME", "u")
    monkeypatch.setenv("TUTTI_EMAIL_PASSWORD", "hunter2")

    assert "hunter2" not in repr(read_settings(EmailSettings))
    assert WEBHOOK["TUTTI_WEBHOOK_SECRET"] not in repr(read_settings(WebhookSettings))
    assert "s3cret-token" not in repr(read_settings(SdrTaskSettings))


@pytest.mark.parametrize(
    ("kind", "changes", "says"),
    [
        (SdrTaskSettings, {"TUTTI_SDR_TASK_TOKEN": ""}, r"^TUTTI_SDR_TASK_TOKEN is not set; it must hold"),
        (
            WebPersonalizationSettings,
            {"TUTTI_WEB_PERSONALIZATION_BASE_URL": "http://vendor.example.com"},
            r"^TUTTI_WEB_PERSONALIZATION_BASE_URL is wrong: it must begin with https://",
        ),
        (
            PaidMediaSettings,
            {"TUTTI_PAID_MEDIA_MATCHING": "altavista"},
            r"^TUTTI_PAID_MEDIA_MATCHING is wrong: .*'google' or 'meta'",
        ),
        (
            PaidMediaSettings,
            {"TUTTI_PAID_MEDIA_BATCH_MEMBER": "5"},
            r"did you mean TUTTI_PAID_MEDIA_BATCH_MEMBERS\?$",
        ),
    ],
)
def test_a_wrong_vendor_setting_is_one_line_that_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, kind: type[ChannelSettings], changes: dict[str, str], says: str
) -> None:
    for name, value in changes.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(ChannelSettingsError, match=says) as caught:
        read_settings(kind)

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_a_vendor_on_this_machine_needs_no_encryption(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("TUTTI_SDR_TASK_BASE_URL", f"http://{host}:8323")

    assert str(read_settings(SdrTaskSettings).base_url).startswith("http://")
