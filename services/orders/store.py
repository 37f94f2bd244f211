"""One coroutine for each statement; rows become domain types here."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import asyncpg
import orjson

from services.orders.domain_order import Details, Order
from shared.contracts.base import OrderMessage
from shared.contracts.inventory import EventCancelledV1
from shared.contracts.registry import MESSAGES
from shared.messaging.cloudevents import Event
from shared.postgres.database import Connection
from shared.postgres.queries import Queries

_SQL = Queries("services.orders")


async def insert_orders(
    connection: Connection, *, orders: Sequence[Order], pay_within_seconds: float, ask_after_seconds: float
) -> dict[UUID, Order]:
    """Add orders; those that were added come back with their times. The database's clock sets the deadline."""
    rows = await connection.fetch(
        _SQL["insert_orders"],
        [order.order_id for order in orders],
        [order.reference for order in orders],
        [order.email for order in orders],
        [order.request_hash for order in orders],
        [order.details.model_dump_json(exclude_defaults=True) for order in orders],
        [order.traceparent for order in orders],
        pay_within_seconds,
        ask_after_seconds,
    )
    return _by_id(rows)


async def lock_orders(connection: Connection, *, order_ids: Sequence[UUID]) -> dict[UUID, Order]:
    """These orders, locked in the order of their ids."""
    return _by_id(await connection.fetch(_SQL["lock_orders"], list(order_ids)))


async def write_orders(connection: Connection, *, changes: Sequence[tuple[Order, Order]]) -> None:
    """Write orders, each as it was seen and as it is now. They are locked, so that a guard without a row is a bug."""
    ending = [new for old, new in changes if old.status == "pending" != new.status]
    others = [(old, new) for old, new in changes if not (old.status == "pending" != new.status)]
    if ending:
        rows = await connection.fetch(_SQL["end_pending_orders"], *_columns(ending))
        assert len(rows) == len(ending), "an order left pending twice"
    if others:
        seen = [old.status for old, _ in others]
        rows = await connection.fetch(_SQL["update_orders"], *_columns([new for _, new in others]), seen)
        assert len(rows) == len(others), "an order changed while it was locked"


async def take_orders_to_ask(connection: Connection, *, limit: int) -> list[Order]:
    """Orders whose answer is overdue, locked; a rival's are passed over."""
    return [_order(row) for row in await connection.fetch(_SQL["take_orders_to_ask"], limit)]


async def get_seconds_to_ask(connection: Connection) -> float | None:
    """Seconds until an order asks again; ``None`` when none waits."""
    seconds: float | None = await connection.fetchval(_SQL["get_seconds_to_ask"])
    return seconds


async def get_order(connection: Connection, *, order_id: UUID) -> Order | None:
    """One order."""
    row = await connection.fetchrow(_SQL["get_order"], order_id)
    return _order(row) if row else None


async def insert_cancelled_events(connection: Connection, *, events: Sequence[EventCancelledV1]) -> None:
    """Keep that events were cancelled."""
    await connection.execute(
        _SQL["insert_cancelled_events"],
        [one.event_id for one in events],
        [one.title for one in events],
        [one.why for one in events],
        [one.cancelled_at for one in events],
    )


async def get_cancelled_event(connection: Connection, *, event_id: UUID) -> dict[str, Any] | None:
    """A cancelled event; ``None`` for any other."""
    row = await connection.fetchrow(_SQL["get_cancelled_event"], event_id)
    return None if row is None else dict(row)


async def take_orders_of_cancelled_events(connection: Connection, *, limit: int) -> list[tuple[Order, UUID, str]]:
    """Open orders of cancelled events whose turn has come, locked, each with its event and the reason."""
    rows = await connection.fetch(_SQL["take_orders_of_cancelled_events"], limit)
    return [(_order(row), row["event_id"], row["cancelled_why"]) for row in rows]


async def count_orders_of_event(connection: Connection, *, event_id: UUID) -> list[dict[str, Any]]:
    """How an event's orders stand."""
    return [dict(row) for row in await connection.fetch(_SQL["count_orders_of_event"], event_id)]


async def count_refunds_of_event(connection: Connection, *, event_id: UUID) -> list[dict[str, Any]]:
    """How the organiser's refunds of an event's orders stand."""
    return [dict(row) for row in await connection.fetch(_SQL["count_refunds_of_event"], event_id)]


async def list_orders(connection: Connection, *, reference: str | None, email: str | None, limit: int) -> list[Order]:
    """Orders by reference or e-mail address, newest first."""
    return [_order(row) for row in await connection.fetch(_SQL["list_orders"], reference, email, limit)]


async def insert_early_messages(connection: Connection, *, events: Sequence[Event[OrderMessage]]) -> None:
    """Keep messages about orders that are not known yet."""
    await connection.execute(
        _SQL["insert_early_messages"],
        [event.id for event in events],
        [event.data.order_id for event in events],
        [event.type for event in events],
        [event.data.model_dump_json() for event in events],
        [event.traceparent for event in events],
    )


async def take_early_messages(connection: Connection, *, order_ids: Sequence[UUID]) -> list[tuple[OrderMessage, str]]:
    """What was heard of these orders before they were known, with each message's trace."""
    rows = await connection.fetch(_SQL["take_early_messages"], list(order_ids))
    messages = [(MESSAGES[row["type"]].model_validate_json(orjson.dumps(row["data"])), row) for row in rows]
    return [(message, row["traceparent"]) for message, row in messages if isinstance(message, OrderMessage)]


async def list_met_orders(connection: Connection, *, limit: int) -> list[UUID]:
    """Known orders with messages that were put aside."""
    return [row["order_id"] for row in await connection.fetch(_SQL["list_met_orders"], limit)]


async def delete_early_messages(connection: Connection, *, retention_seconds: float, limit: int) -> None:
    """Forget messages about orders that never came."""
    await connection.execute(_SQL["delete_early_messages"], retention_seconds, limit)


def _columns(orders: Sequence[Order]) -> list[list[Any]]:
    names = ("order_id", "status", "version", "total_kobo", "currency", "charge_id", "paid_at", "ask_at", "asks")
    columns: list[list[Any]] = [[getattr(order, name) for order in orders] for name in names]
    return [*columns, [order.details.model_dump_json(exclude_defaults=True) for order in orders]]


def _by_id(rows: Sequence[asyncpg.Record]) -> dict[UUID, Order]:
    return {row["order_id"]: _order(row) for row in rows}


def _order(row: asyncpg.Record) -> Order:
    fields: dict[str, Any] = {name: row[name] for name in Order.__dataclass_fields__}
    fields["details"] = Details.model_validate(fields["details"])
    return Order(**fields)
