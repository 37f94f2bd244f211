"""What the gateway decides. Pure: no I/O, no clock, no new ids."""

import hmac
import json
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from uuid import UUID

from shared.contracts.base import Item, RejectionReason
from shared.contracts.orders import OrderChangedV1

#: What an Idempotency-Key may be.
KEY_PATTERN = r"^[A-Za-z0-9_.:~+/=-]{16,64}$"
_KEY = re.compile(KEY_PATTERN)

#: Reasons that are about the request and not about what is left.
WRONG_REQUEST: frozenset[RejectionReason] = frozenset({"unknown_tier", "several_events"})


@dataclass(frozen=True, slots=True)
class Known:
    """The outcome of a checkout: priced, or ended in some way."""

    view: OrderChangedV1


@dataclass(frozen=True, slots=True)
class Rejected:
    """No place was held."""

    reason: RejectionReason
    tier_id: UUID | None


@dataclass(frozen=True, slots=True)
class KeyReused:
    """The order under this key asks for something else."""


@dataclass(frozen=True, slots=True)
class Unanswered:
    """The request is kept and will be answered; the answer is not known yet."""


CheckoutOutcome = Known | Rejected | KeyReused | Unanswered


def decide_outcome(view: OrderChangedV1 | None, request_hash: str) -> CheckoutOutcome:
    """What a checkout is told about its order. A view without a hash (an order known only by its end) matches."""
    if view is None:
        return Unanswered()
    if view.request_hash is not None and not hmac.compare_digest(view.request_hash, request_hash):
        return KeyReused()
    if not is_answered(view):
        return Unanswered()
    if view.status == "rejected":
        return Rejected(view.reason or "sold_out", view.tier_id)
    return Known(view)


def is_answered(view: OrderChangedV1) -> bool:
    """Whether the order is priced or has ended: what a checkout waits for."""
    return view.status != "pending" or view.total_kobo is not None


def is_ended(view: OrderChangedV1) -> bool:
    """Whether the order has left ``pending``: what a cancellation waits for."""
    return view.status != "pending"


def is_known(view: OrderChangedV1) -> bool:
    """Whether orders has the order at all, which every view shows: what ends the repeating of a checkout."""
    return view.version >= 1


def is_payable(view: OrderChangedV1) -> bool:
    """Whether a buyer may go and pay."""
    return view.status == "pending" and view.total_kobo is not None and view.total_kobo > 0


def hint_at(email: str) -> str:
    """An address that its owner knows again, and that a look over the shoulder does not tell: a…@example.com."""
    local, _, host = email.rpartition("@")
    return f"{local[:1]}…@{host}"


def read_key(header: str | None) -> str | None:
    """The Idempotency-Key of a header, with or without the quotes of a structured field.

    Raises ValueError for a key that is too short, too long, or of other characters.
    """
    if header is None:
        return None
    key = header.strip()
    if len(key) > 1 and key.startswith('"') and key.endswith('"'):
        key = key[1:-1]
    if _KEY.fullmatch(key) is None:
        raise ValueError("an Idempotency-Key has 16 to 64 characters out of A-Z a-z 0-9 _ . : ~ + / = -")
    return key


def order_id_of(secret: bytes, key: str) -> UUID:
    """The order that a key names, for ever and on every replica (UUID version 8)."""
    octets = bytearray(hmac.new(secret, f"boxoffice/idempotency/{key}".encode(), sha256).digest()[:16])
    octets[6] = octets[6] & 0x0F | 0x80
    octets[8] = octets[8] & 0x3F | 0x80
    return UUID(bytes=bytes(octets))


def request_hash_of(email: str, items: Sequence[Item]) -> str:
    """SHA-256 over what was asked; the order of the lines does not matter."""
    lines = sorted((str(item.tier_id), item.quantity) for item in items)
    return sha256(json.dumps([email, lines], separators=(",", ":")).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Preference:
    """How long a client wants to wait, and the preference that says so, if there was one."""

    wait_seconds: float
    applied: str | None = None


def read_preference(headers: Iterable[str], *, default_seconds: float, most_seconds: float) -> Preference:
    """``Prefer: wait=N`` and ``respond-async`` (RFC 7240). What is malformed is ignored, as the RFC says.

    Both together mean: answer 202 when N seconds are over.
    """
    parts = [part.split(";")[0].strip().lower() for header in headers for part in header.split(",")]
    for part in parts:
        name, separator, value = part.partition("=")
        if name.strip() == "wait" and separator:
            number = value.strip().strip('"')
            if number.isascii() and number.isdecimal():
                # Longer numbers than this are beyond any limit, and slow to read.
                seconds = min(float(number[:10]), most_seconds)
                return Preference(seconds, f"wait={math.floor(seconds)}")
    if "respond-async" in parts:
        return Preference(0.0, "respond-async")
    return Preference(default_seconds)
