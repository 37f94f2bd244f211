"""The statements of gate packs and check-ins: one coroutine each."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from services.ticketing.admissions import Admission, Conflict, decide_conflict
from services.ticketing.device import FirstAdmission, Outcome
from services.ticketing.domain import TicketKey
from services.ticketing.pack import CodeForm, Hashes, PackRow, code_of
from shared.contracts.base import SoldEvent
from shared.postgres.database import Connection
from shared.postgres.queries import Queries

_QUERIES = Queries("services.ticketing")

#: Key id to the moment from which it is compromised.
CutOffs = Mapping[str, datetime]


@dataclass(frozen=True, slots=True)
class GateEvent:
    """An event as the publisher of packs sees it. ``head`` is what was published last."""

    event: SoldEvent
    wanted_form: CodeForm
    opens_at: datetime | None
    hashes: Hashes
    version: int
    head: dict[str, Any] | None
    has_waiting: bool


@dataclass(frozen=True, slots=True)
class HeldTicket:
    """A ticket whose row is locked. ``opens_at`` is the organiser's, if he named one; ``first`` the check-in."""

    key: TicketKey
    event: SoldEvent
    code: str
    tier_id: UUID
    tier_name: str
    issued_at: datetime
    revoked_at: datetime | None
    blocked_at: datetime | None
    code_key_id: str
    qr_key_id: str
    opens_at: datetime | None
    first: FirstAdmission | None


@dataclass(frozen=True, slots=True)
class ToHash:
    """A code whose digest is to be made."""

    key: TicketKey
    code: str
    hashes: Hashes


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a gate was answered."""

    event_id: UUID
    code: str
    outcome: Outcome
    first: FirstAdmission | None


@dataclass(frozen=True, slots=True)
class Undo:
    """How an admission was taken back."""

    admission_id: UUID
    gate: str
    who: str
    why: str
    undone_at: datetime


async def insert_gate_events(connection: Connection, *, memory_kib: int, passes: int) -> None:
    """Make the rows of events whose tickets wait for a first pack."""
    await connection.execute(_QUERIES["insert_gate_events"], memory_kib, passes)


async def upsert_gate_settings(
    connection: Connection,
    *,
    event_id: UUID,
    form: CodeForm | None,
    opens_at: datetime | None,
    is_opening_given: bool,
    memory_kib: int,
    passes: int,
) -> tuple[CodeForm, datetime | None]:
    """Keep what the organiser chose; returns what holds now."""
    row = await connection.fetchrow(
        _QUERIES["upsert_gate_settings"], event_id, form, is_opening_given, opens_at, memory_kib, passes
    )
    assert row is not None
    return row["wanted_form"], row["opens_at"]


async def list_gate_events(connection: Connection) -> list[GateEvent]:
    """Every event that has tickets."""
    return [
        GateEvent(
            event=SoldEvent.model_validate(row["event"]),
            wanted_form=row["wanted_form"],
            opens_at=row["opens_at"],
            hashes=_hashes(row),
            version=row["version"],
            head=row["head"],
            has_waiting=row["has_waiting"],
        )
        for row in await connection.fetch(_QUERIES["list_gate_events"])
    ]


async def lock_gate_event(connection: Connection, *, event_id: UUID) -> int | None:
    """Hold an event; its newest version, or ``None`` where another replica holds it."""
    version: int | None = await connection.fetchval(_QUERIES["lock_gate_event"], event_id)
    return version


async def lock_waiting_entries(connection: Connection, *, event_id: UUID, needs_digest: bool) -> list[TicketKey]:
    """Hold the tickets that the next version takes in."""
    return [_key(row) for row in await connection.fetch(_QUERIES["lock_waiting_entries"], event_id, needs_digest)]


async def publish_entries(
    connection: Connection, *, keys: Iterable[TicketKey], version: int, cut_offs: CutOffs
) -> None:
    """Take tickets into a version as they stand now. ``cut_offs``: of the keys that sign codes."""
    columns = list(cut_offs), list(cut_offs.values())
    await connection.execute(_QUERIES["publish_entries"], *_columns(keys), version, *columns)


async def mark_entries_signed(connection: Connection, *, event_id: UUID, key_ids: Iterable[str]) -> None:
    """Let tickets wait for the next version whose codes these keys signed."""
    await connection.execute(_QUERIES["mark_entries_signed"], event_id, list(key_ids))


async def has_missing_digests(connection: Connection, *, event_id: UUID) -> bool:
    """Whether some ticket of an event is not hashed yet."""
    return bool(await connection.fetchval(_QUERIES["has_missing_digests"], event_id))


async def publish_gate_event(
    connection: Connection, *, event_id: UUID, version: int, is_new_base: bool, head: Mapping[str, Any], now: datetime
) -> None:
    """The next version is out. Call it with the event's row locked."""
    done = await connection.execute(_QUERIES["publish_gate_event"], event_id, version, is_new_base, dict(head), now)
    assert done == "UPDATE 1", "a version was published without the event's lock"


async def claim_entries_to_hash(connection: Connection, *, limit: int, lease_seconds: float) -> list[ToHash]:
    """Codes to hash; nobody else gets them while the lease lasts."""
    rows = await connection.fetch(_QUERIES["claim_entries_to_hash"], limit, lease_seconds)
    return [ToHash(_key(row), row["code"], _hashes(row)) for row in rows]


async def set_digests(connection: Connection, *, digests: Mapping[TicketKey, bytes]) -> None:
    """Keep digests."""
    await connection.execute(_QUERIES["set_digests"], *_columns(digests), list(digests.values()))


async def get_gate_event(connection: Connection, *, event_id: UUID) -> tuple[int, int, dict[str, Any]] | None:
    """Version, base version and head of what was published last; ``None`` for nothing."""
    row = await connection.fetchrow(_QUERIES["get_gate_event"], event_id)
    return None if row is None else (row["version"], row["base_version"], row["head"])


async def list_pack_entries(connection: Connection, *, event_id: UUID, since: int) -> list[PackRow]:
    """What the newest pack says of tickets that changed after a version."""
    rows = await connection.fetch(_QUERIES["list_pack_entries"], event_id, since)
    return [
        PackRow(
            code=code_of(row["code"]),
            digest=row["digest"],
            status=row["status"],
            was_blocked=row["was_blocked"],
            takes_code=row["takes_code"],
            version=row["version"],
        )
        for row in rows
    ]


async def count_waiting_entries(connection: Connection) -> int:
    """Tickets of which the packs do not know everything yet."""
    return int(await connection.fetchval(_QUERIES["count_waiting_entries"]))


async def lock_tickets_by_code(connection: Connection, *, codes: Iterable[str]) -> dict[str, HeldTicket]:
    """Hold the tickets of these codes; those that exist, by code."""
    keys = [_key(row) for row in await connection.fetch(_QUERIES["lock_tickets_by_code"], list(codes))]
    return {
        row["code"]: HeldTicket(
            key=_key(row),
            event=SoldEvent.model_validate(row["event"]),
            code=row["code"],
            tier_id=row["tier_id"],
            tier_name=row["tier_name"],
            issued_at=row["issued_at"],
            revoked_at=row["revoked_at"],
            blocked_at=row["blocked_at"],
            code_key_id=row["code_key_id"],
            qr_key_id=row["qr_key_id"],
            opens_at=row["opens_at"],
            first=_first(row),
        )
        for row in await connection.fetch(_QUERIES["list_gate_tickets"], *_columns(keys))
    }


async def insert_admissions(connection: Connection, *, admissions: Sequence[Admission], is_offline: bool) -> set[UUID]:
    """Keep admissions; returns the ids of those that are new."""
    rows = await connection.fetch(
        _QUERIES["insert_admissions"],
        [one.admission_id for one in admissions],
        [one.event_id for one in admissions],
        [one.code for one in admissions],
        [one.ticket[0] if one.ticket else None for one in admissions],
        [one.ticket[1] if one.ticket else None for one in admissions],
        [one.gate for one in admissions],
        [one.who for one in admissions],
        [one.admitted_at for one in admissions],
        is_offline,
    )
    return {row["admission_id"] for row in rows}


async def list_admissions(connection: Connection, *, admission_ids: Iterable[UUID]) -> dict[UUID, Admission]:
    """Admissions by id."""
    rows = await connection.fetch(_QUERIES["list_admissions"], list(admission_ids))
    return {row["admission_id"]: _admission(row) for row in rows}


async def list_ticket_admissions(connection: Connection, *, keys: Iterable[TicketKey]) -> list[Admission]:
    """All admissions of these tickets. Call it when their rows are locked."""
    rows = await connection.fetch(_QUERIES["list_ticket_admissions"], *_columns(keys))
    return [_admission(row) for row in rows]


async def set_checkins(connection: Connection, *, counting: Mapping[TicketKey, Admission]) -> None:
    """Say which admission of these tickets counts."""
    await connection.execute(
        _QUERIES["set_checkins"],
        *_columns(counting),
        [one.admission_id for one in counting.values()],
        [one.gate for one in counting.values()],
        [one.admitted_at for one in counting.values()],
    )


async def insert_checkin(connection: Connection, *, key: TicketKey, admission: Admission) -> bool:
    """Let a ticket in; false when it was let in already."""
    row = await connection.fetchrow(
        _QUERIES["insert_checkin"], *key, admission.admission_id, admission.gate, admission.admitted_at
    )
    return row is not None


async def delete_checkin(connection: Connection, *, admission_id: UUID) -> None:
    """This admission counts no more."""
    await connection.execute(_QUERIES["delete_checkin"], admission_id)


async def list_checkins(connection: Connection, *, keys: Iterable[TicketKey]) -> dict[TicketKey, UUID]:
    """The admission that counts of each of these tickets that has one."""
    rows = await connection.fetch(_QUERIES["list_checkins"], *_columns(keys))
    return {_key(row): row["admission_id"] for row in rows}


async def insert_refusal(
    connection: Connection, *, admission_id: UUID, refusal: Refusal, gate: str, who: str, asked_at: datetime
) -> bool:
    """Keep what a gate is answered; false when this id was answered already."""
    first = refusal.first
    row = await connection.fetchrow(
        _QUERIES["insert_refusal"],
        admission_id,
        refusal.event_id,
        refusal.code,
        refusal.outcome,
        gate,
        who,
        asked_at,
        first.gate if first else None,
        first.admitted_at if first else None,
    )
    return row is not None


async def get_refusal(connection: Connection, *, admission_id: UUID) -> Refusal | None:
    """What a gate was answered before under this id."""
    row = await connection.fetchrow(_QUERIES["get_refusal"], admission_id)
    if row is None:
        return None
    return Refusal(row["event_id"], row["code"], row["outcome"], _first(row))


async def insert_undo(connection: Connection, *, admission_id: UUID, gate: str, who: str, why: str) -> None:
    """Take an admission back, once."""
    await connection.execute(_QUERIES["insert_undo"], admission_id, gate, who, why)


async def get_undo(connection: Connection, *, admission_id: UUID) -> Undo | None:
    """How an admission was taken back."""
    row = await connection.fetchrow(_QUERIES["get_undo"], admission_id)
    return None if row is None else Undo(**row)


async def list_conflicts(connection: Connection, *, event_id: UUID) -> list[Conflict]:
    """The admissions at an event that do not count, each with the one that does."""
    conflicts = []
    for row in await connection.fetch(_QUERIES["list_disputed_admissions"], event_id):
        conflict = decide_conflict(
            _admission(row),
            ticket_event=row["ticket_event_id"],
            revoked_at=row["revoked_at"],
            counting=_counting(row),
        )
        assert conflict is not None, "a disputed admission counts"
        conflicts.append(conflict)
    return conflicts


async def count_conflicts(connection: Connection, *, within_seconds: float) -> dict[str, int]:
    """Conflicts of all events that became known lately, by kind."""
    rows = await connection.fetch(_QUERIES["count_disputed_admissions"], within_seconds)
    return {row["kind"]: row["conflicts"] for row in rows}


async def list_unsettled_codes(connection: Connection, *, within_seconds: float, limit: int) -> list[str]:
    """Codes of tickets of which an admission that became known lately ought to count and does not."""
    rows = await connection.fetch(_QUERIES["list_unsettled_codes"], within_seconds, limit)
    return [row["code"] for row in rows]


async def list_history(connection: Connection, *, event_id: UUID, code: str) -> list[dict[str, Any]]:
    """What gates did with one code, oldest first."""
    return [dict(row) for row in await connection.fetch(_QUERIES["list_history"], event_id, code)]


def _admission(row: Any) -> Admission:
    return Admission(
        admission_id=row["admission_id"],
        event_id=row["event_id"],
        code=row["code"],
        ticket=_key(row) if row["order_id"] is not None else None,
        gate=row["gate"],
        who=row["who"],
        admitted_at=row["admitted_at"],
        is_undone=row["is_undone"],
    )


def _counting(row: Any) -> Admission | None:
    if row["counting_id"] is None:
        return None
    return Admission(
        admission_id=row["counting_id"],
        event_id=row["counting_event_id"],
        code=row["code"],
        ticket=_key(row),
        gate=row["counting_gate"],
        who=row["counting_who"],
        admitted_at=row["counting_at"],
    )


def _first(row: Any) -> FirstAdmission | None:
    return FirstAdmission(row["first_gate"], row["first_at"]) if row["first_gate"] is not None else None


def _hashes(row: Any) -> Hashes:
    return Hashes(salt=row["salt"].hex(), memory_kib=row["memory_kib"], passes=row["passes"])


def _key(row: Any) -> TicketKey:
    return row["order_id"], row["number"]


def _columns(keys: Iterable[TicketKey]) -> tuple[list[UUID], list[int]]:
    pairs = list(keys)
    return [order_id for order_id, _ in pairs], [number for _, number in pairs]
