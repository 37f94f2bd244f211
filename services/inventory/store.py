"""One coroutine for each statement; rows become domain types here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
from pydantic import TypeAdapter

from services.inventory.domain import Movement, Tier
from shared.contracts.base import PricedLine, SoldEvent
from shared.contracts.inventory import EventCancelledV1
from shared.postgres.database import Connection
from shared.postgres.queries import Queries

_SQL = Queries("services.inventory")
_LINES = TypeAdapter(tuple[PricedLine, ...])


@dataclass(frozen=True, slots=True)
class Hold:
    """What is known of one order."""

    order_id: UUID
    status: str
    reference: str | None
    email: str | None
    event: SoldEvent | None
    lines: tuple[PricedLine, ...]
    total_kobo: int | None
    currency: str | None
    reason: str | None
    tier_id: UUID | None
    expires_at: datetime | None
    to_return: dict[UUID, int]
    returned: dict[UUID, int]
    traceparent: str | None

    @property
    def places(self) -> list[tuple[UUID, int]]:
        """Tier and places, a line each."""
        return [(line.tier_id, line.quantity) for line in self.lines]


@dataclass(frozen=True, slots=True)
class EndedHold:
    """The places of a hold that has just ended, and those of a sold one that are to come back."""

    order_id: UUID
    places: list[tuple[UUID, int]]
    to_return: dict[UUID, int]
    returned: dict[UUID, int]
    traceparent: str | None


async def lock_holds(connection: Connection, *, order_ids: Sequence[UUID]) -> dict[UUID, Hold]:
    """The holds of these orders, locked in the order of their ids."""
    rows = await connection.fetch(_SQL["lock_holds"], list(order_ids))
    return {row["order_id"]: _hold(row) for row in rows}


async def lock_tiers(connection: Connection, *, tier_ids: Sequence[UUID]) -> dict[UUID, Tier]:
    """The stock rows of these tiers, locked in the order of their ids."""
    rows = await connection.fetch(_SQL["lock_tiers"], list(tier_ids))
    return {row["id"]: _tier(row) for row in rows}


async def insert_holds(connection: Connection, *, holds: Sequence[Hold], ask_after_seconds: float) -> frozenset[UUID]:
    """Write new holds and rejections; returns which orders were written: not those a rival wrote meanwhile."""
    rows = await connection.fetch(
        _SQL["insert_holds"],
        [hold.order_id for hold in holds],
        [hold.status for hold in holds],
        [hold.reference for hold in holds],
        [hold.email for hold in holds],
        [hold.event.model_dump_json() if hold.event else None for hold in holds],
        [_LINES.dump_json(hold.lines).decode() if hold.lines else None for hold in holds],
        [hold.total_kobo for hold in holds],
        [hold.currency for hold in holds],
        [hold.reason for hold in holds],
        [hold.tier_id for hold in holds],
        [hold.expires_at for hold in holds],
        [hold.traceparent for hold in holds],
        ask_after_seconds,
    )
    return frozenset(row["order_id"] for row in rows)


async def insert_facts(connection: Connection, *, order_ids: Sequence[UUID], status: str) -> None:
    """Keep what was heard of orders that are not known yet; a rival's hold is waited for and left as it is."""
    await connection.execute(_SQL["insert_facts"], sorted(order_ids), status)


async def end_holds(connection: Connection, *, order_ids: Sequence[UUID], status: str) -> list[EndedHold]:
    """Turn held places into sold or released ones; returns those that were still held."""
    rows = await connection.fetch(_SQL["end_holds"], list(order_ids), status)
    return [_ended(row) for row in rows]


async def set_to_return(connection: Connection, *, totals: Mapping[UUID, Mapping[UUID, int]]) -> list[EndedHold]:
    """Note places to be given back, as totals for each order; returns the holds that are sold."""
    rows = await connection.fetch(
        _SQL["set_to_return"],
        list(totals),
        [{str(tier_id): places for tier_id, places in one.items()} for one in totals.values()],
    )
    return [_ended(row) for row in rows if row["status"] == "sold"]


async def mark_returned(connection: Connection, *, totals: Mapping[UUID, Mapping[UUID, int]]) -> None:
    """Record what was given back, as totals for each order."""
    await connection.execute(
        _SQL["mark_returned"],
        list(totals),
        [{str(tier_id): places for tier_id, places in one.items()} for one in totals.values()],
    )


async def move_stock(connection: Connection, *, movements: Mapping[UUID, Movement]) -> list[Tier]:
    """Move places; returns the changed stock rows. Raises CheckViolationError where any would go below zero."""
    ordered = sorted(movements)
    rows = await connection.fetch(
        _SQL["move_stock"],
        ordered,
        [movements[tier_id].available for tier_id in ordered],
        [movements[tier_id].held for tier_id in ordered],
        [movements[tier_id].sold for tier_id in ordered],
    )
    assert len(rows) == len(ordered), "stock was to be moved on a tier that does not exist"
    return [_tier(row) for row in rows]


async def take_holds_to_ask(
    connection: Connection, *, limit: int, first_seconds: float, most_seconds: float
) -> list[Hold]:
    """Claim holds whose order's end is overdue, and set when each is due again."""
    rows = await connection.fetch(_SQL["take_holds_to_ask"], limit, first_seconds, most_seconds)
    return [_hold(row) for row in rows]


async def get_seconds_to_ask(connection: Connection) -> float | None:
    """Seconds until a hold is due to be asked about; ``None`` when there is none."""
    seconds: float | None = await connection.fetchval(_SQL["get_seconds_to_ask"])
    return seconds


async def list_tiers(connection: Connection, *, event_id: UUID | None) -> list[asyncpg.Record]:
    """Events with their tiers, a row a tier; an event without tiers has one row with ``id`` NULL."""
    return list(await connection.fetch(_SQL["list_tiers"], event_id))


async def insert_event(connection: Connection, *, event: SoldEvent, currency: str) -> None:
    """Add an event."""
    await connection.execute(
        _SQL["insert_event"], event.id, event.title, event.venue, event.starts_at, event.ends_at, currency
    )


async def insert_tier(
    connection: Connection,
    *,
    tier_id: UUID,
    event_id: UUID,
    name: str,
    price_kobo: int,
    capacity: int,
    max_per_order: int,
    sale_starts_at: datetime | None,
    sale_ends_at: datetime | None,
) -> bool:
    """Add a tier; false when its event does not exist."""
    row = await connection.fetchrow(
        _SQL["insert_tier"],
        tier_id, event_id, name, price_kobo, capacity, max_per_order, sale_starts_at, sale_ends_at,
    )  # fmt: skip
    return row is not None


async def update_tier(
    connection: Connection,
    *,
    tier_id: UUID,
    name: str | None,
    price_kobo: int | None,
    capacity: int | None,
    max_per_order: int | None,
    window: Mapping[str, datetime | None],
) -> bool:
    """Change a tier; false when it does not exist or the capacity is below what is held and sold."""
    row = await connection.fetchrow(
        _SQL["update_tier"],
        tier_id, name, price_kobo, capacity, max_per_order,
        "sale_starts_at" in window, window.get("sale_starts_at"),
        "sale_ends_at" in window, window.get("sale_ends_at"),
    )  # fmt: skip
    return row is not None


async def cancel_event(connection: Connection, *, event_id: UUID, why: str, ask_after_seconds: float) -> bool:
    """Cancel an event; false when it was, or does not exist."""
    return await connection.fetchval(_SQL["cancel_event"], event_id, why, ask_after_seconds) is not None


async def cancel_tiers(connection: Connection, *, event_id: UUID) -> list[UUID]:
    """Take an event's tiers from sale; returns those that were on it."""
    return [row["id"] for row in await connection.fetch(_SQL["cancel_tiers"], event_id)]


async def get_cancellation(connection: Connection, *, event_id: UUID) -> EventCancelledV1 | None:
    """What orders is told of a cancelled event; ``None`` where it is not cancelled, or not there."""
    row = await connection.fetchrow(_SQL["get_cancellation"], event_id)
    return None if row is None or row["cancelled_at"] is None else _cancellation(row)


async def mark_cancellations_heard(connection: Connection, *, event_ids: Sequence[UUID]) -> None:
    """Orders has answered."""
    await connection.execute(_SQL["mark_cancellation_heard"], list(event_ids))


async def take_cancellations_to_tell(
    connection: Connection, *, first_seconds: float, most_seconds: float
) -> list[EventCancelledV1]:
    """Claim cancellations without an answer."""
    rows = await connection.fetch(_SQL["take_cancellations_to_tell"], first_seconds, most_seconds)
    return [_cancellation(row) for row in rows]


async def get_seconds_to_tell(connection: Connection) -> float | None:
    """Seconds until a cancellation is told again; ``None`` when none waits."""
    seconds: float | None = await connection.fetchval(_SQL["get_seconds_to_tell"])
    return seconds


def _cancellation(row: asyncpg.Record) -> EventCancelledV1:
    return EventCancelledV1(
        event_id=row["id"], title=row["title"], cancelled_at=row["cancelled_at"], why=row["cancel_why"]
    )


def _tier(row: asyncpg.Record) -> Tier:
    event = SoldEvent.model_construct(
        id=row["event_id"], title=row["title"], venue=row["venue"], starts_at=row["starts_at"], ends_at=row["ends_at"]
    )
    names = ("id", "name", "price_kobo", "capacity", "available", "held", "sold", "max_per_order", "sale_starts_at",
             "sale_ends_at", "version", "currency", "cancelled_at")  # fmt: skip
    return Tier(event=event, **{name: row[name] for name in names})


def _hold(row: asyncpg.Record) -> Hold:
    return Hold(
        order_id=row["order_id"],
        status=row["status"],
        reference=row["reference"],
        email=row["email"],
        event=SoldEvent.model_validate(row["event"]) if row["event"] else None,
        lines=_lines(row["lines"]),
        total_kobo=row["total_kobo"],
        currency=row["currency"],
        reason=row["reason"],
        tier_id=row["tier_id"],
        expires_at=row["expires_at"],
        to_return=_places(row["to_return"]),
        returned=_places(row["returned"]),
        traceparent=row["traceparent"],
    )


def _ended(row: asyncpg.Record) -> EndedHold:
    places = [(line.tier_id, line.quantity) for line in _lines(row["lines"])]
    return EndedHold(row["order_id"], places, _places(row["to_return"]), _places(row["returned"]), row["traceparent"])


def _lines(value: list[dict[str, Any]] | None) -> tuple[PricedLine, ...]:
    return _LINES.validate_python(value or ())


def _places(value: dict[str, int]) -> dict[UUID, int]:
    return {UUID(tier_id): places for tier_id, places in value.items()}
