"""Ticket codes that a person can type, as in ``VL9IHU-001-f3a2b1c0``: made, read forgivingly, verified.

Pure: no database, no settings. ``docs/tickets.md`` describes every step, with test vectors.
"""

import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from uuid import UUID

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

#: Hex digits of a signature that the setting allows. A collision adds some, see ``MOST_EXTRA_DIGITS``.
LEAST_DIGITS = 8
MOST_DIGITS = 32
#: Digits a code may be longer than the setting says, where a shorter one was taken already.
MOST_EXTRA_DIGITS = 4
KEY_BYTES = 32

_EVENT_KEY_INFO = b"boxoffice/event-key/1/"
_MAC_CONTEXT = b"boxoffice/ticket-code/1/"

# Each part has its own alphabet, so each has its own look-alikes. A pair that is both in the alphabet (2 and Z) is
# never folded: that would let another ticket's code through.
_REFERENCE_LOOKS = str.maketrans({"0": "Q", "O": "Q", "1": "J", "I": "J", "L": "J"})
_NUMBER_LOOKS = str.maketrans(
    {"O": "0", "Q": "0", "D": "0", "I": "1", "L": "1", "Z": "2", "S": "5", "G": "6", "B": "8"}
)
_SIGNATURE_LOOKS = str.maketrans({"O": "0", "Q": "0", "I": "1", "L": "1", "Z": "2", "S": "5", "G": "6"})

_BETWEEN_PARTS = re.compile(r"[\s\-_./\u2010-\u2015\u2212]+")
_REFERENCE = re.compile(r"[23456789A-HJKMNP-Z]{6}")
_NUMBER = re.compile(r"[0-9]{1,5}")
_SIGNATURE = re.compile(rf"[0-9a-f]{{{LEAST_DIGITS},{MOST_DIGITS + MOST_EXTRA_DIGITS}}}")
#: Nothing longer is read at all.
_MOST_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Code:
    """A code's three parts, in their canonical form."""

    reference: str
    number: int
    signature: str

    def __str__(self) -> str:
        """As it is printed on a ticket."""
        return f"{self.reference}-{self.number:03d}-{self.signature}"


def derive_event_key(master_key: bytes, event_id: UUID) -> bytes:
    """The 32 byte key of one event's codes: HKDF-SHA256, no salt. It says nothing about another event's key."""
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=_EVENT_KEY_INFO + event_id.bytes).derive(
        master_key
    )


def make_code(event_key: bytes, event_id: UUID, reference: str, number: int, *, digits: int) -> Code:
    """The code of one ticket with a signature of ``digits`` hex digits."""
    return Code(reference, number, _sign(event_key, event_id, reference, number, digits))


def read_code(text: str) -> Code | None:
    """What was typed or scanned, forgiving case, spaces, kinds of dashes, missing dashes and look-alikes.

    ``None`` when it cannot be a code. Without dashes or spaces the number is taken to have three digits.
    """
    if len(text) > _MOST_CHARACTERS:
        return None
    parts = [part for part in _BETWEEN_PARTS.split(text.upper()) if part]
    if len(parts) != 3 or len(parts[0]) != 6:
        joined = "".join(parts)
        parts = [joined[:6], joined[6:9], joined[9:]]
    reference = parts[0].translate(_REFERENCE_LOOKS)
    number = parts[1].translate(_NUMBER_LOOKS)
    signature = parts[2].translate(_SIGNATURE_LOOKS).lower()
    if not (_REFERENCE.fullmatch(reference) and _NUMBER.fullmatch(number) and _SIGNATURE.fullmatch(signature)):
        return None
    return Code(reference, int(number), signature) if int(number) > 0 else None


def verify_code(code: Code, event_keys: Iterable[bytes], event_id: UUID, *, least_digits: int = LEAST_DIGITS) -> bool:
    """Whether the code was signed for this event under one of these keys, with at least ``least_digits``."""
    if len(code.signature) < least_digits:
        return False
    digits = len(code.signature)
    genuine = False
    for key in event_keys:
        # All keys are tried, in constant time each, so that the answer's time tells nothing.
        genuine |= hmac.compare_digest(_sign(key, event_id, code.reference, code.number, digits), code.signature)
    return genuine


def _sign(event_key: bytes, event_id: UUID, reference: str, number: int, digits: int) -> str:
    # The length is signed too: a long signature cut short is not a short one, and a collision is met by one more
    # digit, which gives an unrelated signature.
    message = _MAC_CONTEXT + event_id.bytes + reference.encode() + number.to_bytes(4, "big") + bytes([digits])
    return hmac.new(event_key, message, sha256).hexdigest()[:digits]
