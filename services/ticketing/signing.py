"""Signs tickets: the code under the event's key, the QR with the private key."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.ticketing.codes import derive_event_key, make_code
from services.ticketing.domain import Place, Ticket
from services.ticketing.keys import parse_hex_keys, public_keys
from services.ticketing.qr import QrTicket, make_qr
from services.ticketing.settings import TicketingSettings

#: Event keys kept in memory. Deriving one again costs microseconds.
_EVENT_KEYS = 1_024


class Signer:
    """Holds the keys. Thread-safe: a batch is signed off the event loop."""

    def __init__(self, settings: TicketingSettings) -> None:
        masters = parse_hex_keys(settings.master_keys.get_secret_value())
        seeds = parse_hex_keys(settings.signing_keys.get_secret_value())
        self._master_id, master_key = next(iter(masters.items()))
        self._signing_id, seed = next(iter(seeds.items()))
        self._private_key = Ed25519PrivateKey.from_private_bytes(seed)
        self._valid_after_end = timedelta(seconds=settings.valid_after_end_seconds)
        self._digits = settings.signature_hex
        self._public_keys = public_keys(seeds)

        @lru_cache(maxsize=_EVENT_KEYS)
        def event_key(event_id: UUID) -> bytes:
            return derive_event_key(master_key, event_id)

        self._event_key = event_key

    @property
    def public_keys(self) -> Mapping[str, bytes]:
        """The public keys (32 bytes) of all signing keys by id."""
        return self._public_keys

    def sign(self, places: Sequence[Place], *, issued_at: datetime, extra_digits: int = 0) -> list[Ticket]:
        """A ticket for each place. ``extra_digits`` lengthens the codes, where shorter ones were taken already."""
        return [self._sign(place, issued_at, self._digits + extra_digits) for place in places]

    def _sign(self, place: Place, issued_at: datetime, digits: int) -> Ticket:
        event = place.event
        code = make_code(self._event_key(event.id), event.id, place.reference, place.number, digits=digits)
        valid_until = event.ends_at + self._valid_after_end
        said = QrTicket(event.id, code, place.tier_id, self._signing_id, issued_at, valid_until)
        return Ticket(
            place=place,
            code=str(code),
            qr=make_qr(self._private_key, said),
            code_key_id=self._master_id,
            qr_key_id=self._signing_id,
        )
