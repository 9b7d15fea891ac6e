"""The settings of notices: what is not set is not used; what is wrong is one line that names the variable."""

import pytest

from activities.channels import ChannelSettingsError
from activities.notices import NoticeSettings, read_notice_settings

MAIL = {
    "TUTTI_NOTICES_HOST": "mail.example.com",
    "TUTTI_NOTICES_SENDER": "Tutti <tutti@example.com>",
    "TUTTI_NOTICES_REPLY_TO": "approvals@example.com",
}
CHAT = {
    "TUTTI_CHAT_WEBHOOK_URL": "https://chat.example.com/hooks/hunter2",
    "TUTTI_CHAT_WEBHOOKS": '{"legal": "https://chat.example.com/hooks/hunter3"}',
}


def read(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> NoticeSettings:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return read_notice_settings(variables)


def test_nothing_set_is_nothing_used(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read(monkeypatch, {}) == NoticeSettings(mail=None, chat=None)


def test_each_medium_works_without_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    mail = read(monkeypatch, MAIL)
    assert mail.mail is not None
    assert (mail.mail.host, mail.mail.reply_to, mail.chat) == (
        "mail.example.com",
        "approvals@example.com",
        None,
    )

    chat = read(monkeypatch, CHAT)
    assert chat.mail is None
    assert chat.chat is not None
    assert chat.chat.webhooks["legal"].get_secret_value().endswith("hunter3")
    assert "hunter" not in repr(chat)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"TUTTI_NOTICES_HOST": ""}, r"^TUTTI_NOTICES_HOST is not set; it must hold the mail server's name"),
        ({"TUTTI_NOTICES_SENDER": ""}, r"^TUTTI_NOTICES_SENDER is not set; it must hold the sender"),
        ({"TUTTI_NOTICES_SENDER": "tutti"}, r"^TUTTI_NOTICES_SENDER is wrong: write it like"),
        (
            {"TUTTI_NOTICES_REPLY_TO": "Tutti <a@b.example>"},
            r"^TUTTI_NOTICES_REPLY_TO is wrong: .*without a name",
        ),
        ({"TUTTI_NOTICES_REPLY_TO": "a+b@b.example"}, r"^TUTTI_NOTICES_REPLY_TO is wrong: .*without \+"),
        (
            {"TUTTI_NOTICES_REPLY_TO": f"{'a' * 40}@b.example"},
            r"^TUTTI_NOTICES_REPLY_TO is wrong: .*at most 39",
        ),
        ({"TUTTI_NOTICES_TIMEOUT_SECONDS": "600"}, r"^TUTTI_NOTICES_TIMEOUT_SECONDS is wrong"),
        ({"TUTTI_NOTICES_FROM": "x"}, r"^TUTTI_NOTICES_FROM is no setting"),
        ({"TUTTI_NOTICES_USERNAME": "u"}, r"^TUTTI_NOTICES_PASSWORD is not set"),
        ({"TUTTI_CHAT_WEBHOOK_URL": "hunter2"}, r"^TUTTI_CHAT_WEBHOOK_URL is wrong: it is no web address"),
        ({"TUTTI_CHAT_WEBHOOK_URL": "http://[hunter2"}, r"^TUTTI_CHAT_WEBHOOK_URL is wrong: it is no web"),
        (
            {"TUTTI_CHAT_WEBHOOK_URL": "http://x.example/hunter2"},
            r"^TUTTI_CHAT_WEBHOOK_URL is wrong: .*https",
        ),
        ({"TUTTI_CHAT_WEBHOOKS": "{hunter2"}, r"^TUTTI_CHAT_WEBHOOKS is no JSON"),
        ({"TUTTI_CHAT_WEBHOOKS": '{"legal": "hunter2"}'}, r"^TUTTI_CHAT_WEBHOOKS is wrong: it is no web"),
        ({"TUTTI_CHAT_URL": "hunter2"}, r"^TUTTI_CHAT_URL is no setting"),
    ],
)
def test_a_wrong_setting_is_one_line_that_names_the_variable_and_shows_no_secret(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, str], says: str
) -> None:
    with pytest.raises(ChannelSettingsError, match=says) as caught:
        read(monkeypatch, MAIL | CHAT | changes)

    assert "\n" not in str(caught.value)
    assert "hunter" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/x", "http://localhost/x", "http://[::1]:5/x"])
def test_this_machine_needs_no_encryption(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    assert read(monkeypatch, {"TUTTI_CHAT_WEBHOOK_URL": url}).chat is not None
