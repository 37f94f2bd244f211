"""Settings that are wrong are named, and never repeated."""

import pytest
from pydantic import SecretStr

from services.mailer.settings import MailerSettings
from services.ticketing.settings import TicketingSettings
from shared.runtime.settings import load_settings
from tests.ticket_samples import MASTER_KEYS, SIGNING_KEYS

TICKETING = {
    "TICKETING_DATABASE_URL": "postgresql://here",
    "TICKETING_AMQP_URL": "amqp://here",
    "TICKETING_MASTER_KEYS": MASTER_KEYS,
    "TICKETING_SIGNING_KEYS": SIGNING_KEYS,
    "TICKETING_ADMIN_TOKENS": "operator:operator-token-00001",
}
MAILER = {
    "MAILER_DATABASE_URL": "postgresql://here",
    "MAILER_AMQP_URL": "amqp://here",
    "MAILER_SMTP_URL": "smtp://127.0.0.1:25",
    "MAILER_SENDER": "Boxoffice <tickets@example.com>",
}


def load(monkeypatch: pytest.MonkeyPatch, values: dict[str, str]) -> object:
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    if values.keys() & TICKETING.keys():
        return load_settings(TicketingSettings)
    return load_settings(MailerSettings)


def test_settings_that_are_right_load_without_a_word(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert load(monkeypatch, TICKETING) is not None
    assert load(monkeypatch, MAILER) is not None
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("values", "name", "value"),
    [
        (TICKETING, "TICKETING_MASTER_KEYS", "m1:" + "ab" * 31),
        (TICKETING, "TICKETING_MASTER_KEYS", "ab" * 32),
        (TICKETING, "TICKETING_SIGNING_KEYS", f"{SIGNING_KEYS},{SIGNING_KEYS}"),
        (TICKETING, "TICKETING_SIGNING_KEYS", "far too long an id:" + "ab" * 32),
        (TICKETING, "TICKETING_SIGNATURE_HEX", "7"),
        (TICKETING, "TICKETING_SIGNATURE_HEX", "33"),
        (TICKETING, "TICKETING_ADMIN_TOKENS", "operator:short"),
        (MAILER, "MAILER_SMTP_URL", "smtp://user:secretsecret@mail.example"),
        (MAILER, "MAILER_SENDER", "Nobody"),
        (MAILER, "MAILER_LEASE_SECONDS", "61.5"),
        (MAILER, "MAILER_SENDER", "Boxoffice <tickets@example.com>\nBcc: all@example.com"),
        (MAILER, "MAILER_STOREFRONT_URL", "tickets.example"),
        (MAILER, "MAILER_TOKEN_KEYS", "nonsense"),
        (MAILER, "MAILER_TIMEZONE", "Atlantis/Poseidonis"),
    ],
)
def test_a_wrong_setting_refuses_to_start_and_is_named(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    values: dict[str, str],
    name: str,
    value: str,
) -> None:
    assert load(monkeypatch, {**values, name: value}) is None
    complaint = capsys.readouterr().err
    assert complaint.startswith(f"{name} is wrong: ")
    assert value not in complaint


@pytest.mark.parametrize("values", [TICKETING, MAILER])
def test_a_missing_setting_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], values: dict[str, str]
) -> None:
    for missing in values:
        with monkeypatch.context() as patch:
            assert load(patch, {name: value for name, value in values.items() if name != missing}) is None
        assert capsys.readouterr().err == f"{missing} is not set\n"


def test_secrets_do_not_show_in_the_settings_text() -> None:
    settings = TicketingSettings(
        database_url="postgresql://here",
        amqp_url="amqp://here",
        master_keys=SecretStr(MASTER_KEYS),
        signing_keys=SecretStr(SIGNING_KEYS),
        admin_tokens=SecretStr("operator:operator-token-00001"),
    )
    shown = repr(settings)
    assert "11" * 32 not in shown
    assert "22" * 32 not in shown
    assert "operator-token" not in shown
