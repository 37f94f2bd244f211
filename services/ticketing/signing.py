"""Signs tickets: the code under the event's key, the QR with the private key."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.ticketing.codes import derive_event_key, make_code
from services.ticketing.domain import Place, Ticket, TicketRow
from services.ticketing.keyring import KeyStatus
from services.ticketing.keys import parse_hex_keys, public_keys
from services.ticketing.pack import SIGNED_CONTEXT, plain_time
from services.ticketing.qr import QrTicket, make_qr
from services.ticketing.settings import TicketingSettings

#: Event keys kept in memory. Deriving one again costs microseconds.
_EVENT_KEYS = 1_024


class Signer:
    """Holds the keys. Thread-safe: a batch is signed off the event loop."""

    def __init__(self, settings: TicketingSettings) -> None:
        masters = parse_hex_keys(settings.master_keys.get_secret_value())
        seeds = parse_hex_keys(settings.signing_keys.get_secret_value())
        self.master_ring = settings.master_ring
        self.signing_ring = settings.signing_ring
        master_id, signing_id = self.master_ring.signing_id, self.signing_ring.signing_id
        assert master_id is not None, "the settings leave no master key to sign with"
        assert signing_id is not None, "the settings leave no signing key to sign with"
        self._master_id, self._signing_id = master_id, signing_id
        master_key = masters[master_id]
        self._private_key = Ed25519PrivateKey.from_private_bytes(seeds[signing_id])
        self._valid_after_end = timedelta(seconds=settings.valid_after_end_seconds)
        self._digits = settings.signature_hex
        self._public_keys = public_keys(seeds)
        self._masters = masters

        @lru_cache(maxsize=_EVENT_KEYS)
        def event_key(event_id: UUID) -> bytes:
            return derive_event_key(master_key, event_id)

        self._event_key = event_key

    @property
    def public_keys(self) -> Mapping[str, bytes]:
        """The public keys (32 bytes) of all signing keys by id."""
        return self._public_keys

    def code_status(self, ticket: TicketRow) -> KeyStatus:
        """What the typed code is worth. The row says when it was made, and nobody can back-date that."""
        return self.master_ring.status(ticket.code_key_id, ticket.issued_at)

    def qr_status(self, ticket: TicketRow) -> KeyStatus:
        """What the QR is worth, likewise. It stands for itself: its key is another than the code's."""
        return self.signing_ring.status(ticket.qr_key_id, ticket.issued_at)

    @property
    def signing_id(self) -> str:
        """The id of the key that signs."""
        return self._signing_id

    @property
    def good_master_ids(self) -> tuple[str, ...]:
        """The master keys that nobody else has."""
        return tuple(key_id for key_id in self._masters if key_id not in self.master_ring.compromised_at)

    def event_keys(self, event_id: UUID, key_ids: Iterable[str]) -> dict[str, bytes]:
        """One event's keys under these master keys, as far as this replica has them."""
        return {
            key_id: derive_event_key(self._masters[key_id], event_id) for key_id in key_ids if key_id in self._masters
        }

    def sign_pack(self, pack: bytes) -> tuple[str, str]:
        """The signature of a gate pack's canonical octets, in hex, after the id of its key."""
        return self._signing_id, self._private_key.sign(SIGNED_CONTEXT + pack).hex()

    def pack_public_keys(self) -> dict[str, dict[str, str | None]]:
        """The public keys as they stand in a gate pack."""
        cut_offs = self.signing_ring.compromised_at
        return {
            key_id: {
                "public_key": key.hex(),
                "compromised_at": plain_time(cut_offs[key_id]) if key_id in cut_offs else None,
            }
            for key_id, key in self._public_keys.items()
        }

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
