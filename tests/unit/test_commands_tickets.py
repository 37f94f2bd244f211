"""`boxoffice tickets` with keys in files and keys that were stolen, in this process."""

import json
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import SecretStr
from typer.testing import CliRunner, Result

from boxoffice.commands_tickets import tickets as commands
from services.ticketing.codes import derive_event_key, make_code, read_code
from services.ticketing.domain import Place
from services.ticketing.qr import QrTicket, make_qr
from services.ticketing.signing import Signer
from shared.runtime.ids import new_id
from tests.ticket_samples import MASTER_KEYS, sold_event, ticketing_settings

EVENT = UUID("018f3a7e-5b1c-7d2e-8f40-112233445566")
SEED = Ed25519PrivateKey.from_private_bytes(b"\x22" * 32)
CUT_OFF = datetime(2031, 5, 1, 12, tzinfo=UTC)


SETTINGS = ("TICKETING_MASTER_KEYS", "TICKETING_MASTER_KEYS_FILE", "TICKETING_COMPROMISED_MASTER_KEYS")


def run(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(commands, list(arguments), env={**dict.fromkeys(SETTINGS), **environment})


def event_key_of(octet: int) -> str:
    return f"{EVENT}:{derive_event_key(bytes([octet]) * 32, EVENT).hex()}"


def qr(issued_at: datetime) -> str:
    code = make_code(derive_event_key(b"\x11" * 32, EVENT), EVENT, "VM9KHU", 1, digits=8)
    return make_qr(SEED, QrTicket(EVENT, code, new_id(), "s1", issued_at, datetime(2099, 1, 1, tzinfo=UTC)))


def keys_file(folder: Path, document: object) -> str:
    path = folder / "keys.json"
    path.write_text(json.dumps(document))
    return str(path)


def test_an_events_key_comes_from_a_file_too(tmp_path: Path) -> None:
    path = tmp_path / "masters"
    path.write_text(f"# old\n{MASTER_KEYS}\n")
    path.chmod(0o600)
    done = run("event-key", str(EVENT), TICKETING_MASTER_KEYS_FILE=str(path))
    assert (done.exit_code, done.stdout.strip()) == (0, event_key_of(0x11))
    path.chmod(0o644)
    assert run("event-key", str(EVENT), TICKETING_MASTER_KEYS_FILE=str(path)).exit_code == 2
    both = run("event-key", str(EVENT), TICKETING_MASTER_KEYS=MASTER_KEYS, TICKETING_MASTER_KEYS_FILE=str(path))
    assert both.exit_code == 2


def test_a_stolen_master_key_checks_no_typed_code() -> None:
    done = run(
        "event-key",
        str(EVENT),
        TICKETING_MASTER_KEYS=f"m2:{'44' * 32},{MASTER_KEYS}",
        TICKETING_COMPROMISED_MASTER_KEYS="m1:2031-05-01T12:00:00Z",
    )
    assert (done.exit_code, done.stdout.strip()) == (0, event_key_of(0x44))
    assert "m1 is compromised" in done.stderr
    wrong = run("event-key", str(EVENT), TICKETING_MASTER_KEYS=MASTER_KEYS, TICKETING_COMPROMISED_MASTER_KEYS="m1")
    assert wrong.exit_code == 2


@pytest.mark.parametrize(
    ("issued_at", "exit_code", "said"),
    [
        (datetime(2031, 5, 1, 11, 59, 59, tzinfo=UTC), 4, "doubtful: "),
        (CUT_OFF, 1, "not valid: it was signed when its key was compromised already"),
    ],
)
def test_a_qr_under_a_stolen_key_is_refused_or_doubtful(
    tmp_path: Path, issued_at: datetime, exit_code: int, said: str
) -> None:
    public = SEED.public_key().public_bytes_raw().hex()
    path = keys_file(tmp_path, {"s1": {"public_key": public, "compromised_at": CUT_OFF.isoformat()}})
    done = run("verify", qr(issued_at), "--keys", path)
    assert done.exit_code == exit_code
    assert done.stdout.startswith(said)
    as_json = json.loads(run("verify", qr(issued_at), "--keys", path, "--json").stdout)
    assert (as_json["valid"], as_json["doubtful"]) == (False, exit_code == 4)
    assert run("verify", qr(issued_at), "--keys", keys_file(tmp_path, {"s1": public})).exit_code == 0


@pytest.mark.parametrize("document", [{"s1": {"public_key": "9d" * 32}}, {"s1": {"compromised_at": "2031"}}, {"s1": {}},
                                      {"s1": {"public_key": "9d" * 32, "compromised_at": "soon"}}])  # fmt: skip
def test_a_list_of_keys_that_says_half_is_no_list(tmp_path: Path, document: object) -> None:
    assert run("verify", qr(CUT_OFF), "--keys", keys_file(tmp_path, document)).exit_code == 2


@pytest.mark.parametrize("digits", [8, 13, 32])
def test_the_signature_is_as_long_as_the_setting_says_and_the_command_can_ask_for_it(digits: int) -> None:
    event = sold_event(id=EVENT)
    signer = Signer(ticketing_settings("postgresql://unused", signature_hex=digits, master_keys=SecretStr(MASTER_KEYS)))
    place = Place(new_id(), "VM9KHU", event, 1, new_id(), "VIP", place=1)
    (ticket,) = signer.sign([place], issued_at=CUT_OFF)
    code = read_code(ticket.code)
    assert code is not None
    assert len(code.signature) == digits
    event_key = run("event-key", str(EVENT), TICKETING_MASTER_KEYS=MASTER_KEYS).stdout.strip()
    for least, exit_code in ((digits, 0), (digits + 1, 1)):
        done = run("verify", ticket.code, "--event-key", event_key, "--least-digits", str(least))
        assert done.exit_code == exit_code
