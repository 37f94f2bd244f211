"""Packs, devices and check-ins for tests: made by the real code, with a hash that costs next to nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.ticketing.admissions import Admission
from services.ticketing.checkins import CheckIns, WatchAdmissions
from services.ticketing.codes import Code, derive_event_key, make_code
from services.ticketing.domain_reissue import Refused, ReissueRequest
from services.ticketing.gate_models import Checkin, OfflineAdmission
from services.ticketing.gate_store import Refusal
from services.ticketing.pack import (
    SIGNED_CONTEXT,
    Hashes,
    Pack,
    PackRow,
    apply_delta,
    canonical,
    digest_of,
    plain_time,
    read_pack,
    render_pack,
    verify_pack,
)
from services.ticketing.packing import Doors, HashCodes, Packs, PublishPacks, Rendered
from services.ticketing.qr import QrTicket, make_qr
from services.ticketing.reissuing import Reissuing
from services.ticketing.service import build
from services.ticketing.settings import TicketingSettings
from services.ticketing.signing import Signer
from shared.contracts.base import IssuedTicket, SoldEvent
from shared.contracts.ticketing import TicketsIssuedV1
from shared.runtime.ids import new_id
from shared.runtime.metrics import Metrics
from tests.harness import Bench
from tests.ticket_samples import order_paid, sold_event, ticketing_settings

NOW = datetime(2031, 5, 17, 19, 30, tzinfo=UTC)
EVENT_ID = UUID("018f3a7e-5b1c-7d2e-8f40-112233445566")
TIER_ID = UUID("018f3a7e-5b1c-7d2e-8f40-aabbccddeeff")
MASTER = bytes([0x11]) * 32
SEED = bytes([0x22]) * 32
SIGNING_KEY = Ed25519PrivateKey.from_private_bytes(SEED)
PUBLIC_KEY = SIGNING_KEY.public_key().public_bytes_raw()
#: As memory-hard as nothing: for tests of everything but the cost.
CHEAP = Hashes(salt="ab" * 16, memory_kib=8, passes=1)


def head(
    *, version: int = 1, codes: Mapping[str, Any] | None = None, compromised_at: datetime | None = None
) -> dict[str, Any]:
    """The head of a pack whose gates are open at ``NOW``."""
    return {
        "format": 1,
        "version": version,
        "published_at": plain_time(NOW),
        "event": {
            "id": str(EVENT_ID),
            "title": "Lagos Nights",
            "venue": "Eko Hall",
            "starts_at": plain_time(NOW),
            "ends_at": plain_time(NOW + timedelta(hours=5)),
            "opens_at": plain_time(NOW - timedelta(hours=2)),
            "closes_at": plain_time(NOW + timedelta(hours=9)),
        },
        "public_keys": {
            "s1": {
                "public_key": PUBLIC_KEY.hex(),
                "compromised_at": plain_time(compromised_at) if compromised_at else None,
            }
        },
        "codes": dict(codes) if codes is not None else CHEAP.model_dump(),
    }


def key_form(event_id: UUID = EVENT_ID) -> dict[str, Any]:
    """The form *key* of an event's codes."""
    return {"form": "key", "keys": {"m1": derive_event_key(MASTER, event_id).hex()}}


def code(
    reference: str = "VM9KHU", number: int = 1, *, digits: int = 8, event_id: UUID = EVENT_ID, master: bytes = MASTER
) -> Code:
    """A genuine code."""
    return make_code(derive_event_key(master, event_id), event_id, reference, number, digits=digits)


def row(one: Code, *, version: int = 1, **changes: Any) -> PackRow:
    """Its row, hashed."""
    made = PackRow(one, digest_of(one, CHEAP), "valid", was_blocked=False, takes_code=True, version=version)
    return replace(made, **changes)


def pack_of(rows: Sequence[PackRow], **changes: Any) -> Pack:
    """A pack as a device reads it."""
    return read_pack(render_pack(head(**changes), rows))


def qr(
    one: Code,
    *,
    event_id: UUID = EVENT_ID,
    issued_at: datetime = NOW - timedelta(days=30),
    key: Ed25519PrivateKey = SIGNING_KEY,
) -> str:
    """The QR of a code."""
    return make_qr(key, QrTicket(event_id, one, TIER_ID, "s1", issued_at, NOW + timedelta(days=2)))


def sign(document: Mapping[str, Any]) -> str:
    """A pack's signature."""
    return SIGNING_KEY.sign(SIGNED_CONTEXT + canonical(document)).hex()


def gate_settings(database_url: str, amqp_url: str = "amqp://unused", **changes: Any) -> TicketingSettings:
    """Settings with a hash that costs next to nothing."""
    return ticketing_settings(database_url, amqp_url, **{"gate_hash_memory_kib": 8, "gate_hash_passes": 1, **changes})


def open_event(**changes: Any) -> SoldEvent:
    """An event whose gates are open now."""
    now = datetime.now(UTC)
    return sold_event(**{"starts_at": now + timedelta(hours=1), "ends_at": now + timedelta(hours=6), **changes})


def showing(
    ticket: str, event_id: UUID, *, gate: str = "north", admission_id: UUID | None = None, at: datetime | None = None
) -> Checkin:
    """A ticket is shown at a gate with internet."""
    return Checkin(
        admission_id=admission_id or new_id(),
        event_id=event_id,
        ticket=ticket,
        gate=gate,
        who="ada",
        at=at or datetime.now(UTC),
    )


def offline(
    one: str, event_id: UUID, *, gate: str = "south", at: datetime | None = None, admission_id: UUID | None = None
) -> OfflineAdmission:
    """A device without internet let somebody in."""
    return OfflineAdmission(
        admission_id=admission_id or new_id(),
        event_id=event_id,
        code=one,
        gate=gate,
        who="ben",
        admitted_at=at or datetime.now(UTC),
    )


class Gates(Bench):
    """Ticketing's handlers, check-ins and packs on a real database, without broker, loops or HTTP."""

    def __init__(self, settings: TicketingSettings) -> None:
        super().__init__(build(settings))
        metrics, signer, doors = Metrics(), Signer(settings), Doors(settings)
        transactions = self.service.transactions
        self.metrics = metrics
        self.checkins = CheckIns(transactions, signer, doors, metrics)
        self.watch = WatchAdmissions(transactions, self.checkins, metrics)
        self.hashing = HashCodes(transactions)
        self.publishing = PublishPacks(transactions, signer, doors, settings, metrics)
        self.packs = Packs(self.service.database, signer)
        self.reissuing = Reissuing(transactions, signer, pause_seconds=0, most_pause_seconds=0)

    async def sell(
        self, quantities: Sequence[int] = (1,), *, serial: int = 0, event: SoldEvent | None = None
    ) -> tuple[SoldEvent, list[IssuedTicket]]:
        """An order is paid; its event and tickets."""
        order = order_paid(quantities, serial=serial, event=event or open_event())
        await self.given_out()
        await self.deliver(order)
        (issued,) = await self.given_out(TicketsIssuedV1)
        return order.event, list(issued.tickets)

    async def reissue(self, ticket: IssuedTicket) -> IssuedTicket | Refused:
        """A ticket gets another holder, and so another number."""
        (row,) = await self.fetch("SELECT order_id, number FROM tickets WHERE code = $1", ticket.code)
        request = ReissueRequest(row["number"], f"the-key-of-{ticket.code}", "bola@example.com", "sold on", "organiser")
        answer = await self.reissuing.reissue(row["order_id"], request)
        return answer if isinstance(answer, Refused) else answer.ticket.issued

    async def publish(self) -> None:
        """Hash what there is to hash, and bring out what is due. An event that is new to gates gets its salt first."""
        await self.publishing.run_once()
        while await self.hashing.run_once() == 0:
            pass
        await self.publishing.run_once()

    async def fetch_pack(self, event_id: UUID, since: int | None = None) -> dict[str, Any]:
        """The answer to a device, parsed."""
        answer = await self.packs.get(event_id, since, known_tag=None)
        assert isinstance(answer, Rendered)
        document: dict[str, Any] = orjson.loads(answer.body)
        return document

    async def pack(self, event_id: UUID) -> Pack:
        """The newest pack as a device would use it: its signature verified."""
        answer = await self.fetch_pack(event_id)
        verify_pack(answer["pack"], answer["key_id"], answer["signature"], {"s1": PUBLIC_KEY})
        return read_pack(answer["pack"])

    async def update(self, pack: Mapping[str, Any], event_id: UUID) -> dict[str, Any]:
        """What a device has after it asked for what changed; the signature verified."""
        answer = await self.fetch_pack(event_id, pack["version"])
        new = apply_delta(pack, answer["delta"]) if "delta" in answer else answer["pack"]
        verify_pack(new, answer["key_id"], answer["signature"], {"s1": PUBLIC_KEY})
        return dict(new)

    async def admitted(self, ask: Checkin) -> Admission:
        """A check-in that lets in."""
        answer = await self.checkins.check_in(ask)
        assert isinstance(answer, Admission), answer
        return answer

    async def refused(self, ask: Checkin) -> Refusal:
        """A check-in that does not."""
        answer = await self.checkins.check_in(ask)
        assert isinstance(answer, Refusal), answer
        return answer
