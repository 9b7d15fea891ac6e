from pathlib import Path

import pytest

from tutti.settings import Settings, SettingsError, temporal_config


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (
        "HOME",
        "POLICIES",
        "LEDGER_URL",
        "PUBLIC_URL",
        "GATEWAY_PORT",
        "SIGNING_KEY",
        "OUTCOMES_SECRET",
        "OUTCOMES_SECRETS",
        "APPROVER_TOKENS",
        "REPLY_TOKEN",
    ):
        monkeypatch.delenv(f"TUTTI_{name}", raising=False)
    for name in ("ADDRESS", "NAMESPACE", "PROFILE"):
        monkeypatch.delenv(f"TEMPORAL_{name}", raising=False)
    monkeypatch.setenv("TEMPORAL_CONFIG_FILE", "/dev/null")
    monkeypatch.chdir(tmp_path)


def test_without_any_setting_everything_is_here(tmp_path: Path) -> None:
    settings = Settings.load()

    assert settings.home == tmp_path / ".tutti"
    assert settings.ledger == f"sqlite+aiosqlite:///{tmp_path}/.tutti/ledger.db"
    assert temporal_config()["target_host"] == "localhost:7233"


def test_the_environment_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUTTI_HOME", "~/somewhere")
    monkeypatch.setenv("TUTTI_LEDGER_URL", "postgresql+asyncpg://db/tutti")
    monkeypatch.setenv("TEMPORAL_ADDRESS", "engine.example.com:7233")

    assert Settings.load().home == Path.home() / "somewhere"
    assert Settings.load().ledger == "postgresql+asyncpg://db/tutti"
    assert temporal_config()["target_host"] == "engine.example.com:7233"


def test_secrets_of_callbacks_are_several_and_do_not_print(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUTTI_OUTCOMES_SECRET", "whsec_new whsec_old")
    monkeypatch.setenv("TUTTI_OUTCOMES_SECRETS", '{"email": "whsec_email"}')

    settings = Settings.load()

    assert [secret.get_secret_value() for secret in settings.outcomes_secret] == ["whsec_new", "whsec_old"]
    assert [secret.get_secret_value() for secret in settings.outcomes_secrets["email"]] == ["whsec_email"]
    assert "whsec" not in repr(settings)


@pytest.mark.parametrize("value", ["whsec_email", '{"email": 1}'])
def test_secrets_that_cannot_be_read_are_named_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("TUTTI_OUTCOMES_SECRETS", value)

    with pytest.raises(SettingsError, match=r"(?i)outcomes_secrets") as raised:
        Settings.load()
    assert "whsec" not in str(raised.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TUTTI_GATEWAY_PORT", "eighty"),
        ("TUTTI_GATEWAY_PORT", "65536"),
        ("TUTTI_PUBLIC_URL", "tutti.example.com"),
        ("TUTTI_SIGNING_KEY", "too short"),
        ("TUTTI_BOUNCE_TOKEN", "too short"),
        ("TUTTI_HOME", " "),
    ],
)
def test_a_wrong_value_is_one_line_that_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(SettingsError) as caught:
        Settings.load()

    assert str(caught.value).startswith(f"{name}: ")
    assert "\n" not in str(caught.value)


def test_a_refused_key_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUTTI_SIGNING_KEY", "hunter2")

    with pytest.raises(SettingsError, match="7 bytes, fewer than 32") as caught:
        Settings.load()

    assert "hunter2" not in str(caught.value)


def test_each_approver_has_tokens_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "TUTTI_APPROVER_TOKENS", f'{{"dana.reyes": "{"a" * 32} {"b" * 32}", "tom": "{"c" * 32}"}}'
    )

    settings = Settings.load()

    found = [token.get_secret_value() for token in settings.approver_tokens["dana.reyes"]]
    assert found == ["a" * 32, "b" * 32]
    assert "aaaa" not in repr(settings)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (f'{{"dana.reyes": "{"a" * 31}"}}', "the token of 'dana.reyes' has 31 bytes, fewer than 32"),
        (f'{{"dana.reyes": "{"a" * 32}", "tom": "{"a" * 32}"}}', "the token of 'tom' is somebody else's too"),
        ('{"dana.reyes": ""}', "has no token of 'dana.reyes'"),
        ("dana.reyes", "approver_tokens"),
        (f'["{"a" * 32}"]', "valid dictionary"),
        (f'{{"dana reyes": "{"a" * 32}"}}', "should match pattern"),
    ],
)
def test_tokens_that_would_not_do_are_named_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, value: str, why: str
) -> None:
    monkeypatch.setenv("TUTTI_APPROVER_TOKENS", value)

    with pytest.raises(SettingsError) as refused:
        Settings.load()
    assert why in str(refused.value)
    assert "\n" not in str(refused.value)
    assert "aaaa" not in str(refused.value)


def test_a_missing_key_is_named_by_the_process_that_needs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match=r"^TUTTI_SIGNING_KEY is not set"):
        Settings.load().required_signing_key()

    monkeypatch.setenv("TUTTI_SIGNING_KEY", "k" * 32)
    assert Settings.load().required_signing_key().get_secret_value() == "k" * 32


def test_an_unknown_temporal_profile_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMPORAL_PROFILE", "nowhere")

    with pytest.raises(SettingsError, match="nowhere"):
        temporal_config()
