"""The text in a ticket's QR: the same ticket, signed with Ed25519, so that a public key alone can check it.

Pure: no database, no settings. ``docs/tickets.md`` describes it byte for byte, with test vectors.
"""

import base64
import binascii
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from services.ticketing.codes import Code, read_code

#: Every QR text begins with it. All characters of the text are in the QR's alphanumeric set, which keeps it small.
PREFIX = "BX1."
#: What is signed is this, then the payload, so that the key's signatures mean nothing elsewhere.
SIGNED_CONTEXT = b"boxoffice/ticket-qr/1/"
SIGNATURE_BYTES = 64
_VERSION = 1
#: Version, event, reference, number, tier, issued at, valid until; then the code's signature and the key's id.
_HEAD = struct.Struct(">B16s6sH16sII")
_MOST_CHARACTERS = 1_024


@dataclass(frozen=True, slots=True)
class QrTicket:
    """What a QR says about its ticket. Times are whole seconds."""

    event_id: UUID
    code: Code
    tier_id: UUID
    key_id: str
    issued_at: datetime
    valid_until: datetime


def make_qr(key: Ed25519PrivateKey, ticket: QrTicket) -> str:
    """The QR's text."""
    payload = encode_payload(ticket)
    signed = payload + key.sign(SIGNED_CONTEXT + payload)
    return PREFIX + base64.b32encode(signed).decode().rstrip("=")


def split_qr(text: str) -> tuple[bytes, bytes] | None:
    """Payload and signature of a QR's text, ``None`` when it is none. Only the canonical text is read."""
    if not text.startswith(PREFIX) or len(text) > _MOST_CHARACTERS:
        return None
    body = text.removeprefix(PREFIX)
    try:
        signed = base64.b32decode(body + "=" * (-len(body) % 8))
    except (binascii.Error, ValueError):
        return None
    # Base32 leaves spare bits at the end; another last character would otherwise say the same ticket.
    if base64.b32encode(signed).decode().rstrip("=") != body or len(signed) <= SIGNATURE_BYTES:
        return None
    return signed[:-SIGNATURE_BYTES], signed[-SIGNATURE_BYTES:]


def read_qr(text: str) -> QrTicket | None:
    """What the QR claims, not yet verified; ``None`` when it cannot be a ticket's."""
    parts = split_qr(text)
    return decode_payload(parts[0]) if parts is not None else None


def verify_qr(text: str, keys: Mapping[str, bytes]) -> QrTicket | None:
    """The ticket, if one of these public keys (id to 32 bytes) signed it under the id it names; else ``None``.

    Says nothing of time or revocation: compare ``valid_until`` yourself.
    """
    parts = split_qr(text)
    ticket = decode_payload(parts[0]) if parts is not None else None
    if parts is None or ticket is None or ticket.key_id not in keys:
        return None
    return ticket if _is_signed(keys[ticket.key_id], *parts) else None


def verify_qr_with(text: str, public_key: bytes) -> QrTicket | None:
    """The ticket, if this public key signed it, whatever id it names; else ``None``."""
    ticket = read_qr(text)
    return verify_qr(text, {ticket.key_id: public_key}) if ticket is not None else None


def encode_payload(ticket: QrTicket) -> bytes:
    """The octets that are signed, after the context."""
    signature, key_id = ticket.code.signature, ticket.key_id.encode("ascii")
    # An odd number of digits is filled with a zero that the length leaves out again.
    digits = bytes.fromhex(signature + "0" * (len(signature) % 2))
    head = _HEAD.pack(
        _VERSION,
        ticket.event_id.bytes,
        ticket.code.reference.encode("ascii"),
        ticket.code.number,
        ticket.tier_id.bytes,
        _seconds(ticket.issued_at),
        _seconds(ticket.valid_until),
    )
    return head + bytes([len(signature)]) + digits + bytes([len(key_id)]) + key_id


def decode_payload(payload: bytes) -> QrTicket | None:
    """The payload's fields; ``None`` where it is malformed, or not the one form that ``encode_payload`` gives."""
    try:
        version, event_id, reference, number, tier_id, issued_at, valid_until = _HEAD.unpack_from(payload)
        digits_at = _HEAD.size + 1
        digit_count = payload[_HEAD.size]
        key_at = digits_at + (digit_count + 1) // 2 + 1
        signature = payload[digits_at : key_at - 1].hex()[:digit_count]
        key_id = payload[key_at : key_at + payload[key_at - 1]].decode("ascii")
        code = read_code(f"{reference.decode('ascii')}-{number}-{signature}")
    except (struct.error, IndexError, UnicodeDecodeError):
        return None
    if version != _VERSION or code is None:
        return None
    ticket = QrTicket(UUID(bytes=event_id), code, UUID(bytes=tier_id), key_id, _moment(issued_at), _moment(valid_until))
    return ticket if encode_payload(ticket) == payload else None


def _is_signed(public_key: bytes, payload: bytes, signature: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, SIGNED_CONTEXT + payload)
    except InvalidSignature:
        return False
    return True


def _seconds(moment: datetime) -> int:
    return min(max(int(moment.timestamp()), 0), 2**32 - 1)


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
