"""What a gate device decides by itself, with a pack and what it admitted before. Pure: no network, no database."""

import base64
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from services.ticketing.codes import Code, read_code, verify_code
from services.ticketing.keyring import KeyRing
from services.ticketing.pack import EventKeys, Hashes, Pack, digest_of, name_of
from services.ticketing.qr import PREFIX, verify_qr

#: Numbers above the highest that the pack names which the form *key* still takes: re-issued since. A limit, since a
#: thief of the pack makes them as he likes.
MOST_NEWER_NUMBERS = 20

#: What a ticket comes to. ``valid`` lets in.
Outcome = Literal[
    "valid",
    "not_a_ticket",
    "unknown_ticket",
    "other_event",
    "key_compromised",
    "revoked",
    "blocked",
    "already_admitted",
    "not_valid_yet",
    "not_valid_any_more",
]


@dataclass(frozen=True, slots=True)
class FirstAdmission:
    """Where and when a ticket was let in first."""

    gate: str
    admitted_at: datetime


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome; the ticket's code where one was read; whether the ticket is newer than the pack."""

    outcome: Outcome
    code: Code | None = None
    tier_id: UUID | None = None
    is_newer: bool = False
    first: FirstAdmission | None = None

    @property
    def lets_in(self) -> bool:
        """Whether to let the guest in."""
        return self.outcome == "valid"


@dataclass(frozen=True, slots=True)
class _Proof:
    outcome: Outcome
    code: Code | None = None
    tier_id: UUID | None = None
    is_newer: bool = False


def check_ticket(pack: Pack, text: str, *, now: datetime, admitted: Mapping[str, FirstAdmission]) -> Verdict:
    """Whether to let in who shows this code or QR. ``admitted`` is by code, ``now`` the device's own clock."""
    text = text.strip()
    proof = _check_qr(pack, text) if text.startswith(PREFIX) else _check_code(pack, text)
    outcome, code = proof.outcome, proof.code
    if code is None or outcome != "valid":
        return Verdict(outcome, code)
    why = pack.refused.get(name_of(code))
    if why is not None:
        return Verdict(why, code, proof.tier_id)
    first = admitted.get(str(code))
    if first is not None:
        return Verdict("already_admitted", code, proof.tier_id, first=first)
    if now < pack.event.opens_at:
        outcome = "not_valid_yet"
    elif now > pack.event.closes_at:
        outcome = "not_valid_any_more"
    return Verdict(outcome, code, proof.tier_id, proof.is_newer)


def _check_qr(pack: Pack, text: str) -> _Proof:
    keys = {key_id: bytes.fromhex(key.public_key) for key_id, key in pack.public_keys.items()}
    ticket = verify_qr(text, keys)
    if ticket is None:
        return _Proof("unknown_ticket")
    if ticket.event_id != pack.event.id:
        return _Proof("other_event", ticket.code)
    status = key_ring(pack).status(ticket.key_id, ticket.issued_at)
    if status == "cut_off":
        return _Proof("key_compromised", ticket.code)
    listed = name_of(ticket.code) in pack.tickets or ticket.code.reference in pack.references
    if status == "doubtful" and _check_code(pack, str(ticket.code)).outcome != "valid":
        # A thief of the key can date his QR back. What we issued is in the pack, with its code.
        return _Proof("key_compromised", ticket.code)
    return _Proof("valid", ticket.code, ticket.tier_id, is_newer=not listed)


def _check_code(pack: Pack, text: str) -> _Proof:
    code = read_code(text)
    if code is None:
        return _Proof("not_a_ticket")
    match pack.codes:
        case Hashes() as hashes:
            return _compare_digest(pack, hashes, code)
        case EventKeys() as keys:
            return _compute_again(pack, keys, code)


def _compare_digest(pack: Pack, hashes: Hashes, code: Code) -> _Proof:
    why = pack.refused.get(name_of(code))
    if why is not None:
        # Its digest is not in the pack, and the name alone does not prove the code; either way it is refused.
        return _Proof(why, code)
    known = pack.tickets.get(name_of(code))
    if known is None:
        return _Proof("unknown_ticket", code)
    expected = base64.b64decode(known + "=" * (-len(known) % 4))
    genuine = hmac.compare_digest(digest_of(code, hashes), expected)
    return _Proof("valid" if genuine else "unknown_ticket", code)


def _compute_again(pack: Pack, keys: EventKeys, code: Code) -> _Proof:
    highest = pack.references.get(code.reference, 0)
    if highest == 0 or code.number > highest + MOST_NEWER_NUMBERS:
        return _Proof("unknown_ticket", code)
    genuine = verify_code(code, [bytes.fromhex(key) for key in keys.keys.values()], pack.event.id)
    return _Proof("valid" if genuine else "unknown_ticket", code, is_newer=code.number > highest)


def key_ring(pack: Pack) -> KeyRing:
    """The pack's keys of QRs, with their cut-offs."""
    cut_offs = {
        key_id: key.compromised_at for key_id, key in pack.public_keys.items() if key.compromised_at is not None
    }
    return KeyRing(tuple(pack.public_keys), cut_offs)
