"""Makes gate packs: hashes codes, publishes versions, renders what a device asks for.

Publishing and hashing are loops, not part of issuing: a pack may be seconds behind, a sale may not be.
"""

import asyncio
import gzip
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from prometheus_client import Gauge

from services.ticketing import gate_store as store
from services.ticketing.domain import TicketKey
from services.ticketing.gate_store import GateEvent, ToHash
from services.ticketing.pack import (
    FORMAT,
    PackRow,
    canonical,
    code_of,
    digest_of,
    plain_time,
    render_delta,
    render_pack,
)
from services.ticketing.settings import TicketingSettings
from services.ticketing.signing import Signer
from shared.contracts.base import SoldEvent
from shared.messaging.transaction import Transactions
from shared.postgres.database import Connection, Database
from shared.runtime.metrics import Metrics

#: Codes hashed by one run: below a second, so that a drain does not wait.
HASH_LIMIT = 32
#: How long a replica may take over them before another does it again.
HASH_LEASE_SECONDS = 120.0
#: Events whose packs are kept in memory. The pack of 50,000 tickets takes some 15 MB.
MOST_EVENTS_KEPT = 8


@dataclass(frozen=True, slots=True)
class Opening:
    """From when to when tickets of an event are let in."""

    opens_at: datetime
    closes_at: datetime


class Doors:
    """Says when an event's gates are open."""

    def __init__(self, settings: TicketingSettings) -> None:
        self._before_start = timedelta(seconds=settings.valid_before_start_seconds)
        self._after_end = timedelta(seconds=settings.valid_after_end_seconds)

    def opening(self, event: SoldEvent, opens_at: datetime | None) -> Opening:
        """``opens_at`` is the organiser's choice, if there is one."""
        return Opening(opens_at or event.starts_at - self._before_start, event.ends_at + self._after_end)


class HashCodes:
    """Hashes the codes of new tickets. Tens of milliseconds each, on purpose, and once in a ticket's life."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    async def run_once(self) -> float | None:
        """Hash some; 0 when there may be more."""
        async with self._transactions.begin() as tx:
            claimed = await store.claim_entries_to_hash(
                tx.connection, limit=HASH_LIMIT, lease_seconds=HASH_LEASE_SECONDS
            )
        if not claimed:
            return None
        # Off the event loop; the hash lets other threads run meanwhile.
        digests = await asyncio.to_thread(_hash_all, claimed)
        async with self._transactions.begin() as tx:
            await store.set_digests(tx.connection, digests=digests)
        return 0 if len(claimed) == HASH_LIMIT else None


class PublishPacks:
    """Brings out the next version of every event whose pack would say something else now."""

    def __init__(
        self, transactions: Transactions, signer: Signer, doors: Doors, settings: TicketingSettings, metrics: Metrics
    ) -> None:
        self._transactions = transactions
        self._signer = signer
        self._doors = doors
        self._settings = settings
        self._waiting = Gauge(
            "ticketing_pack_waiting", "Tickets of which gate packs lack something", registry=metrics.registry
        )

    async def run_once(self) -> float | None:
        """Publish what is due."""
        async with self._transactions.begin() as tx:
            await store.insert_gate_events(
                tx.connection,
                memory_kib=self._settings.gate_hash_memory_kib,
                passes=self._settings.gate_hash_passes,
            )
            events = await store.list_gate_events(tx.connection)
            self._waiting.set(await store.count_waiting_entries(tx.connection))
        for event in events:
            if event.has_waiting or not _says(event.head, self._head(event, event.wanted_form)):
                await self._publish(event)
        return None

    async def _publish(self, event: GateEvent) -> None:
        event_id = event.event.id
        async with self._transactions.begin() as tx:
            now = await tx.read_now()
            version = await store.lock_gate_event(tx.connection, event_id=event_id)
            if version is None or version != event.version:
                return  # Another replica was quicker; the next run looks again.
            form = await self._form(tx.connection, event)
            head = self._head(event, form)
            cut_offs = self._signer.master_ring.compromised_at
            is_changed = not _says(event.head, head)
            is_new_base = is_changed and event.head is not None and _basis(event.head) != _basis(head)
            if is_new_base:
                await store.mark_entries_signed(
                    tx.connection, event_id=event_id, key_ids=self._signer.master_ring.key_ids
                )
            keys = await store.lock_waiting_entries(tx.connection, event_id=event_id, needs_digest=form == "hashes")
            if not keys and not is_changed:
                return  # What waits is not hashed yet.
            await store.publish_entries(tx.connection, keys=keys, version=version + 1, cut_offs=cut_offs)
            await store.publish_gate_event(
                tx.connection,
                event_id=event_id,
                version=version + 1,
                is_new_base=is_new_base,
                head={**head, "version": version + 1, "published_at": plain_time(now)},
                now=now,
            )

    async def _form(self, connection: Connection, event: GateEvent) -> Any:
        """The form of the next version: what was wanted, but *hashes* only once all are there."""
        published = event.head["codes"]["form"] if event.head is not None else event.wanted_form
        if published == "key" and event.wanted_form == "hashes":
            missing = await store.has_missing_digests(connection, event_id=event.event.id)
            return "key" if missing else "hashes"
        return event.wanted_form

    def _head(self, event: GateEvent, form: str) -> dict[str, Any]:
        opening = self._doors.opening(event.event, event.opens_at)
        return {
            "format": FORMAT,
            "event": {
                "id": str(event.event.id),
                "title": event.event.title,
                "venue": event.event.venue,
                "starts_at": plain_time(event.event.starts_at),
                "ends_at": plain_time(event.event.ends_at),
                "opens_at": plain_time(opening.opens_at),
                "closes_at": plain_time(opening.closes_at),
            },
            "public_keys": self._signer.pack_public_keys(),
            # The event's keys are put in when the pack is rendered: none is ever in the database.
            "codes": event.hashes.model_dump() if form == "hashes" else {"form": "key"},
            "unshown": {
                "code_key_ids": list(self._signer.good_master_ids),
                "code_cut_offs": {
                    key_id: plain_time(moment) for key_id, moment in self._signer.master_ring.compromised_at.items()
                },
            },
        }


@dataclass(frozen=True, slots=True)
class Rendered:
    """An answer: JSON, its gzip, and the tag of the version."""

    body: bytes
    compressed: bytes
    tag: str


@dataclass(slots=True)
class _Kept:
    version: int
    base_version: int
    head: dict[str, Any]
    rows: dict[str, PackRow]
    signed: tuple[str, str] | None = None
    whole: Rendered | None = None


class Packs:
    """Renders packs and updates, and keeps the newest of some events in memory."""

    def __init__(self, database: Database, signer: Signer) -> None:
        self._database = database
        self._signer = signer
        self._kept: OrderedDict[UUID, _Kept] = OrderedDict()
        self._lock = asyncio.Lock()

    async def get(self, event_id: UUID, since: int | None, *, known_tag: str | None) -> Rendered | str | None:
        """The answer for a device that has version ``since``; its tag alone where that is what the device has.

        ``None`` when nothing was published of such an event.
        """
        # One at a time: a hundred devices that come at once make the pack of a version once.
        async with self._lock:
            kept = await self._refresh(event_id)
            if kept is None:
                return None
            is_delta = since is not None and max(kept.base_version, 1) <= since <= kept.version
            tag = f'"{kept.version}-{self._signer.signing_id}{f"-{since}" if is_delta else ""}"'
            if tag == known_tag:
                return tag
            if is_delta:
                return await asyncio.to_thread(self._render, kept, since, tag)
            if kept.whole is None:
                kept.whole = await asyncio.to_thread(self._render, kept, None, tag)
            return kept.whole

    async def _refresh(self, event_id: UUID) -> _Kept | None:
        kept = self._kept.pop(event_id, None)
        # One snapshot: an entry that changes between two reads would be in neither version.
        async with (
            self._database.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            found = await store.get_gate_event(connection, event_id=event_id)
            if found is None:
                return None
            if kept is None or kept.version != found[0]:
                since = kept.version if kept is not None else 0
                changed = await store.list_pack_entries(connection, event_id=event_id, since=since)
                rows = kept.rows if kept is not None else {}
                kept = _Kept(*found, rows | {str(row.code): row for row in changed})
        self._kept[event_id] = kept
        while len(self._kept) > MOST_EVENTS_KEPT:
            self._kept.popitem(last=False)
        return kept

    def _render(self, kept: _Kept, since: int | None, tag: str) -> Rendered:
        head, rows = self._shown(kept.head), kept.rows.values()
        whole = render_pack(head, rows) if since is None or kept.signed is None else None
        if kept.signed is None:
            assert whole is not None
            kept.signed = self._signer.sign_pack(canonical(whole))
        key_id, signature = kept.signed
        content = {"pack": whole} if since is None else {"delta": render_delta(head, rows, since=since)}
        body = canonical({**content, "key_id": key_id, "signature": signature})
        return Rendered(body, gzip.compress(body, 6, mtime=0), tag)

    def _shown(self, head: Mapping[str, Any]) -> dict[str, Any]:
        shown = {name: value for name, value in head.items() if name != "unshown"}
        if shown["codes"]["form"] == "key":
            keys = self._signer.event_keys(UUID(shown["event"]["id"]), head["unshown"]["code_key_ids"])
            shown["codes"] = {"form": "key", "keys": {key_id: key.hex() for key_id, key in keys.items()}}
        return shown


def _hash_all(claimed: Sequence[ToHash]) -> dict[TicketKey, bytes]:
    return {one.key: digest_of(code_of(one.code), one.hashes) for one in claimed}


def _says(published: Mapping[str, Any] | None, head: Mapping[str, Any]) -> bool:
    """Whether what was published says the same but for its version."""
    if published is None:
        return False
    return {name: value for name, value in published.items() if name not in {"version", "published_at"}} == head


def _basis(head: Mapping[str, Any]) -> object:
    """What an update cannot change: the form, and which codes are taken."""
    return head["codes"]["form"], head["unshown"]["code_cut_offs"]
