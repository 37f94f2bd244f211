"""The QR's text: checked with a public key alone, byte for byte as documented."""

import json
import re
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from services.ticketing.codes import derive_event_key, make_code
from services.ticketing.qr import (
    PREFIX,
    SIGNED_CONTEXT,
    QrTicket,
    encode_payload,
    make_qr,
    read_qr,
    split_qr,
    verify_qr,
    verify_qr_with,
)

DOCUMENT = Path(__file__).parents[2] / "docs" / "tickets.md"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key().public_bytes_raw()
EVENT = UUID("018f3a7e-5b1c-7d2e-8f40-112233445566")
CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.=- a"


def ticket(**changes: Any) -> QrTicket:
    values: dict[str, Any] = {
        "event_id": EVENT,
        "code": make_code(derive_event_key(bytes(32), EVENT), EVENT, "VM9KHU", 1, digits=8),
        "tier_id": UUID("018f3a7e-5b1c-7d2e-8f40-aabbccddeeff"),
        "key_id": "s1",
        "issued_at": datetime(2031, 1, 2, 3, 4, 5, tzinfo=UTC),
        "valid_until": datetime(2031, 5, 18, tzinfo=UTC),
    }
    return QrTicket(**(values | changes))


TEXT = make_qr(KEY, ticket())


def vectors() -> list[dict[str, str]]:
    blocks = re.findall(r"```json\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    found: list[dict[str, str]] = json.loads(blocks[0])
    return found


def test_a_qr_says_what_was_signed() -> None:
    assert verify_qr(TEXT, {"s1": PUBLIC}) == ticket()
    assert verify_qr_with(TEXT, PUBLIC) == ticket()
    assert len(TEXT) <= 199


def test_the_text_is_all_in_the_alphanumeric_set_of_qr() -> None:
    assert re.fullmatch(r"[0-9A-Z $%*+\-./:]+", TEXT)


@given(st.integers(0, len(TEXT) - 1), st.sampled_from(CHARACTERS))
@settings(max_examples=300, deadline=None)
def test_no_single_changed_character_verifies(position: int, replacement: str) -> None:
    changed = TEXT[:position] + replacement + TEXT[position + 1 :]
    if changed != TEXT:
        assert verify_qr(changed, {"s1": PUBLIC}) is None
        assert verify_qr_with(changed, PUBLIC) is None


def test_the_spare_bits_of_the_last_character_say_nothing() -> None:
    others = [TEXT[:-1] + last for last in "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567" if last != TEXT[-1]]
    assert [other for other in others if verify_qr_with(other, PUBLIC) is not None] == []


@given(st.text(CHARACTERS, max_size=250))
@settings(max_examples=100, deadline=None)
def test_any_text_is_read_without_an_error(text: str) -> None:
    assert verify_qr(PREFIX + text, {"s1": PUBLIC}) is None
    assert read_qr(text) is None


def test_another_key_or_an_unknown_id_does_not_verify() -> None:
    stranger = Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key().public_bytes_raw()
    assert verify_qr(TEXT, {"s1": stranger}) is None
    assert verify_qr(TEXT, {"s2": PUBLIC}) is None
    assert verify_qr_with(TEXT, stranger) is None


@given(st.integers(1, 20_000), st.sampled_from([8, 9, 11, 16, 32, 36]), st.sampled_from(["k", "key_2031-A", "x" * 16]))
@settings(max_examples=40, deadline=None)
def test_every_ticket_comes_back_as_it_went_in(number: int, digits: int, key_id: str) -> None:
    code = make_code(derive_event_key(bytes(32), EVENT), EVENT, "ZZZ222", number, digits=digits)
    one = ticket(code=code, key_id=key_id)
    assert verify_qr(make_qr(KEY, one), {key_id: PUBLIC}) == one


def test_a_payload_with_more_or_less_at_its_end_is_no_ticket() -> None:
    from services.ticketing.qr import decode_payload

    payload = encode_payload(ticket())
    assert decode_payload(payload) == ticket()
    assert decode_payload(payload + b"\x00") is None
    assert decode_payload(payload[:-1]) is None
    assert decode_payload(b"\x02" + payload[1:]) is None


@pytest.mark.parametrize("vector", vectors(), ids=lambda vector: vector["code"])
def test_the_published_vectors_are_what_we_make(vector: dict[str, str]) -> None:
    event = UUID(vector["event_id"])
    event_key = derive_event_key(bytes.fromhex(vector["master_key"]), event)
    assert event_key.hex() == vector["event_key"]
    reference, number, signature = vector["code"].split("-")
    code = make_code(event_key, event, reference, int(number), digits=len(signature))
    assert str(code) == vector["code"]
    key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(vector["signing_seed"]))
    assert key.public_key().public_bytes_raw().hex() == vector["public_key"]
    said = QrTicket(
        event,
        code,
        UUID(vector["tier_id"]),
        vector["key_id"],
        datetime.fromisoformat(vector["issued_at"]),
        datetime.fromisoformat(vector["valid_until"]),
    )
    assert encode_payload(said).hex() == vector["payload"]
    assert make_qr(key, said) == vector["qr"]


@pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl here")
@pytest.mark.parametrize("vector", vectors(), ids=lambda vector: vector["code"])
def test_the_published_vectors_verify_with_openssl(vector: dict[str, str], tmp_path: Path) -> None:
    parts = split_qr(vector["qr"])
    assert parts is not None
    public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(vector["public_key"]))
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "key.pem").write_bytes(pem)
    (tmp_path / "signed").write_bytes(SIGNED_CONTEXT + parts[0])
    (tmp_path / "signature").write_bytes(parts[1])
    command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "key.pem", "-rawin", "-in", "signed"]
    done = subprocess.run(
        [*command, "-sigfile", "signature"], cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Signature Verified Successfully" in done.stdout
