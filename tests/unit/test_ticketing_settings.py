"""Settings that are wrong are named, and never repeated."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from services.mailer.settings import MailerSettings
from services.ticketing.keys import parse_hex_keys
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
    "MAILER_ADMIN_TOKENS": "operator:operator-token-0001",
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


def keys_file(folder: Path, text: str, mode: int = 0o640) -> str:
    path = folder / "keys"
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def without(values: dict[str, str], *names: str) -> dict[str, str]:
    return {name: value for name, value in values.items() if name not in names}


def test_keys_come_from_a_file_as_they_come_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    text = f"# made in May\nm2:{'33' * 32},\n\n{MASTER_KEYS}\n"
    values = without(TICKETING, "TICKETING_MASTER_KEYS") | {"TICKETING_MASTER_KEYS_FILE": keys_file(tmp_path, text)}
    settings = load(monkeypatch, values)
    assert isinstance(settings, TicketingSettings)
    assert parse_hex_keys(settings.master_keys.get_secret_value()) == {"m2": b"\x33" * 32, "m1": b"\x11" * 32}
    assert settings.master_ring.signing_id == "m2"
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("text", "mode", "complaint"),
    [
        (SIGNING_KEYS, 0o644, "is open to everybody on this machine (mode 0644)"),
        (SIGNING_KEYS, 0o602, "is open to everybody on this machine (mode 0602)"),
        ("s1:" + "ab" * 31, 0o600, "must be id:64 hex digits"),
        ("", 0o600, "must be id:64 hex digits"),
        ("#" * 70_000, 0o600, "has more than 65536 bytes"),
        (None, 0o600, "cannot be read: No such file or directory"),
    ],
)
def test_a_file_of_keys_that_is_wrong_or_open_to_everybody_is_refused(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    text: str | None,
    mode: int,
    complaint: str,
) -> None:
    path = keys_file(tmp_path, text, mode) if text is not None else str(tmp_path / "none")
    values = without(TICKETING, "TICKETING_SIGNING_KEYS") | {"TICKETING_SIGNING_KEYS_FILE": path}
    assert load(monkeypatch, values) is None
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("TICKETING_SIGNING_KEYS_FILE is wrong: ")
    assert complaint in line
    assert "ab" * 31 not in line


def test_keys_in_two_places_are_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = keys_file(tmp_path, MASTER_KEYS)
    assert load(monkeypatch, TICKETING | {"TICKETING_MASTER_KEYS_FILE": path}) is None
    assert "TICKETING_MASTER_KEYS is wrong: " in (complaint := capsys.readouterr().err)
    assert "give one of them" in complaint


def test_a_compromised_key_never_signs_again(monkeypatch: pytest.MonkeyPatch) -> None:
    values = TICKETING | {
        "TICKETING_SIGNING_KEYS": f"s2:{'33' * 32},{SIGNING_KEYS}",
        "TICKETING_COMPROMISED_SIGNING_KEYS": "s2:2031-05-01T12:00:00Z",
    }
    settings = load(monkeypatch, values)
    assert isinstance(settings, TicketingSettings)
    assert settings.signing_ring.signing_id == "s1"
    assert settings.master_ring.signing_id == "m1"


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("TICKETING_COMPROMISED_SIGNING_KEYS", "s1:2031-05-01T12:00:00Z", "no key is left to sign with"),
        ("TICKETING_COMPROMISED_MASTER_KEYS", "m1:2031-05-01T12:00:00Z", "no key is left to sign with"),
        ("TICKETING_COMPROMISED_SIGNING_KEYS", "s9:2031-05-01T12:00:00Z", "there is no key s9"),
        ("TICKETING_COMPROMISED_MASTER_KEYS", "m1", "must be id:time"),
        ("TICKETING_COMPROMISED_MASTER_KEYS", "m1:2031-05-01T12:00:00", "must be id:time"),
    ],
)
def test_a_cut_off_that_says_nothing_or_leaves_no_key_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str, complaint: str
) -> None:
    assert load(monkeypatch, TICKETING | {name: value}) is None
    line = capsys.readouterr().err
    assert line.startswith(f"{name} is wrong: ")
    assert complaint in line


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
