"""The QR's text: checked with a public key alone, byte for byte as documented."""

import base64
import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from services.ticketing.codes import derive_event_key, make_code
from services.ticketing.qr import (
    PREFIX,
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
    found: list[dict[str, str]] = json.loads(blocks[-1])
    return found


def test_a_qr_says_what_was_signed() -> None:
    assert verify_qr(TEXT, {"s1": PUBLIC}) == ticket()
    assert verify_qr_with(TEXT, PUBLIC) == ticket()
    assert len(TEXT) <= 199


def test_the_text_is_all_in_the_alphanumeric_set_of_qr() -> None:
    assert re.fullmatch(r"[0-9A-Z $%*+\-./:]+", TEXT)


def test_no_single_changed_character_verifies_at_any_position() -> None:
    """Every position of one text, every character of the QR's set and some others."""
    verified = [
        (position, replacement)
        for position, genuine in enumerate(TEXT)
        for replacement in CHARACTERS
        if replacement != genuine and verify_qr_with(TEXT[:position] + replacement + TEXT[position + 1 :], PUBLIC)
    ]
    assert verified == []


tickets = st.builds(
    ticket,
    event_id=st.uuids(),
    tier_id=st.uuids(),
    code=st.builds(
        lambda reference, number, digits: make_code(derive_event_key(bytes(32), EVENT), EVENT, reference, number,
                                                    digits=digits),
        st.text("23456789ABCDEFGHJKMNPQRSTUVWXYZ", min_size=6, max_size=6),
        st.integers(1, 20_000),
        st.integers(8, 36),
    ),
    key_id=st.text("ABCXYZabcxyz0189_-", min_size=1, max_size=16),
    issued_at=st.integers(0, 2**32 - 1).map(lambda seconds: datetime.fromtimestamp(seconds, UTC)),
)  # fmt: skip


@given(tickets, st.data())
def test_no_single_changed_character_of_any_ticket_verifies(said: QrTicket, data: st.DataObject) -> None:
    text = make_qr(KEY, said)
    position = data.draw(st.integers(0, len(text) - 1))
    replacement = data.draw(st.one_of(st.sampled_from(CHARACTERS), st.characters()))
    changed = text[:position] + replacement + text[position + 1 :]
    assert verify_qr(changed, {said.key_id: PUBLIC}) == (said if changed == text else None)


@given(tickets, tickets)
def test_nothing_that_a_qr_says_can_be_swapped_for_anothers(said: QrTicket, other: QrTicket) -> None:
    """Event, number, tier, times, key id: each of another genuine ticket, under this one's signature."""
    _, signature = split_qr(make_qr(KEY, said)) or (b"", b"")
    swaps = [
        replace(said, event_id=other.event_id),
        replace(said, tier_id=other.tier_id),
        replace(said, code=other.code),
        replace(said, code=replace(said.code, number=other.code.number)),
        replace(said, code=replace(said.code, reference=other.code.reference)),
        replace(said, key_id=other.key_id),
        replace(said, issued_at=other.issued_at),
        replace(said, valid_until=said.valid_until + timedelta(days=1)),
    ]
    for swapped in swaps:
        text = PREFIX + base64.b32encode(encode_payload(swapped) + signature).decode().rstrip("=")
        assert verify_qr_with(text, PUBLIC) == (said if swapped == said else None)


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
