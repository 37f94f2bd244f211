"""Ticketing's statements: one coroutine each."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from services.ticketing.domain import IssuedOrder, Outcome, Ticket, TicketKey, TicketRow
from services.ticketing.domain_reissue import Reissue, ReissueRequest
from shared.contracts.base import IssuedTicket, SoldEvent
from shared.contracts.orders import BlockRequestedV1, OrderPaidV1
from shared.contracts.ticketing import TicketsBlockedV1
from shared.postgres.database import Connection
from shared.postgres.queries import Queries

_QUERIES = Queries("services.ticketing")


async def insert_orders(connection: Connection, *, order_ids: Sequence[UUID]) -> None:
    """Make the rows of orders nobody has heard of."""
    await connection.execute(_QUERIES["insert_orders"], order_ids)


async def lock_orders(connection: Connection, *, order_ids: Sequence[UUID]) -> None:
    """Hold the orders for the rest of the transaction."""
    await connection.execute(_QUERIES["lock_orders"], order_ids)


async def list_issued_orders(connection: Connection, *, order_ids: Sequence[UUID]) -> dict[UUID, IssuedOrder]:
    """Those that are known to be paid, by id."""
    rows = await connection.fetch(_QUERIES["list_issued_orders"], order_ids)
    return {
        row["order_id"]: IssuedOrder(
            order_id=row["order_id"],
            reference=row["reference"],
            email=row["email"],
            event=SoldEvent.model_validate(row["event"]),
            charge_id=row["charge_id"],
        )
        for row in rows
    }


async def mark_orders_issued(connection: Connection, *, orders: Sequence[OrderPaidV1], now: datetime) -> set[UUID]:
    """Which of these orders are to get their tickets in this transaction; the others have them."""
    rows = await connection.fetch(
        _QUERIES["mark_orders_issued"],
        [order.order_id for order in orders],
        [order.reference for order in orders],
        [order.email for order in orders],
        [order.event.id for order in orders],
        [order.event.model_dump(mode="json") for order in orders],
        [order.charge_id for order in orders],
        now,
    )
    return {row["order_id"] for row in rows}


async def insert_tickets(connection: Connection, *, tickets: Sequence[Ticket], now: datetime) -> set[TicketKey]:
    """The tickets that are in; the code of each other one exists already."""
    rows = await connection.fetch(
        _QUERIES["insert_tickets"],
        [ticket.place.order_id for ticket in tickets],
        [ticket.place.number for ticket in tickets],
        [ticket.place.event.id for ticket in tickets],
        [ticket.place.tier_id for ticket in tickets],
        [ticket.place.tier_name for ticket in tickets],
        [ticket.code for ticket in tickets],
        [ticket.qr for ticket in tickets],
        [ticket.code_key_id for ticket in tickets],
        [ticket.qr_key_id for ticket in tickets],
        [ticket.place.place for ticket in tickets],
        [ticket.place.email for ticket in tickets],
        now,
    )
    return {_key(row) for row in rows}


async def list_tickets(connection: Connection, *, order_ids: Sequence[UUID]) -> list[TicketRow]:
    """All tickets of these orders, by order and number."""
    rows = await connection.fetch(_QUERIES["list_tickets"], order_ids)
    return [
        TicketRow(
            order_id=row["order_id"],
            issued=IssuedTicket.model_construct(
                number=row["number"],
                tier_id=row["tier_id"],
                tier_name=row["tier_name"],
                code=row["code"],
                qr=row["qr"],
                place=None if row["place"] == row["number"] else row["place"],
                email=row["email"],
            ),
            issued_at=row["issued_at"],
            revoked_at=row["revoked_at"],
            blocked_at=row["blocked_at"],
            code_key_id=row["code_key_id"],
            qr_key_id=row["qr_key_id"],
        )
        for row in rows
    ]


async def insert_revocations(connection: Connection, *, keys: Iterable[TicketKey]) -> None:
    """Keep what is asked to be revoked."""
    await connection.execute(_QUERIES["insert_revocations"], *_columns(keys))


async def list_open_revocations(connection: Connection, *, order_ids: Sequence[UUID]) -> list[TicketKey]:
    """Requests without an outcome, of orders that are known to be paid."""
    return [_key(row) for row in await connection.fetch(_QUERIES["list_open_revocations"], order_ids)]


async def list_revocations(connection: Connection, *, order_ids: Sequence[UUID]) -> dict[TicketKey, Outcome]:
    """How requests ended."""
    return {_key(row): row["outcome"] for row in await connection.fetch(_QUERIES["list_revocations"], order_ids)}


async def list_place_tickets(connection: Connection, *, keys: Iterable[TicketKey]) -> dict[TicketKey, list[TicketKey]]:
    """For each of these tickets that exists: all that its place ever had."""
    of_place: dict[TicketKey, list[TicketKey]] = {}
    for row in await connection.fetch(_QUERIES["list_place_tickets"], *_columns(keys)):
        of_place.setdefault((row["order_id"], row["asked"]), []).append(_key(row))
    return of_place


async def insert_reissue(
    connection: Connection, *, order_id: UUID, reissue: Reissue, now: datetime, say_again_seconds: float
) -> None:
    """Write down that a ticket was issued again."""
    request = reissue.request
    await connection.execute(
        _QUERIES["insert_reissue"],
        order_id,
        reissue.number,
        reissue.new_number,
        request.key,
        request.email,
        request.why,
        request.asked_by,
        now,
        say_again_seconds,
    )


async def list_reissues(connection: Connection, *, order_id: UUID) -> list[Reissue]:
    """Which of an order's tickets were issued again."""
    return [
        Reissue(
            row["number"],
            row["new_number"],
            ReissueRequest(row["number"], row["request_key"], row["email"], row["why"], row["asked_by"]),
            row["reissued_at"],
        )
        for row in await connection.fetch(_QUERIES["list_reissues"], order_id)
    ]


async def take_reissues_to_say(
    connection: Connection, *, limit: int, times: int, pause_seconds: float, most_pause_seconds: float
) -> set[UUID]:
    """Orders whose tickets are due to be told again; the next time is set."""
    rows = await connection.fetch(_QUERIES["take_reissues_to_say"], limit, times, pause_seconds, most_pause_seconds)
    return {row["order_id"] for row in rows}


async def get_seconds_to_say(connection: Connection) -> float | None:
    """Seconds until an order's tickets are told again, below 0 when overdue; ``None`` when none waits."""
    seconds: float | None = await connection.fetchval(_QUERIES["get_seconds_to_say"])
    return seconds


async def lock_tickets(connection: Connection, *, keys: Iterable[TicketKey]) -> set[TicketKey]:
    """Hold the tickets that exist, and return them."""
    return {_key(row) for row in await connection.fetch(_QUERIES["lock_tickets"], *_columns(keys))}


async def list_admitted(connection: Connection, *, keys: Iterable[TicketKey]) -> set[TicketKey]:
    """Those that were let in. Call it when their rows are locked."""
    return {_key(row) for row in await connection.fetch(_QUERIES["list_admitted"], *_columns(keys))}


async def settle_revocations(
    connection: Connection, *, outcomes: Sequence[tuple[TicketKey, Outcome]], now: datetime
) -> None:
    """Give requests their outcome."""
    await connection.execute(
        _QUERIES["settle_revocations"],
        *_columns(key for key, _ in outcomes),
        [outcome for _, outcome in outcomes],
        now,
    )


async def mark_tickets_revoked(connection: Connection, *, keys: Iterable[TicketKey], now: datetime) -> None:
    """Revoke."""
    await connection.execute(_QUERIES["mark_tickets_revoked"], *_columns(keys), now)


async def set_blocks(connection: Connection, *, wanted: Sequence[BlockRequestedV1]) -> list[TicketsBlockedV1]:
    """Block orders or lift it, each by its newest word; returns how they stand."""
    rows = await connection.fetch(
        _QUERIES["set_blocks"],
        [one.order_id for one in wanted],
        [one.blocked for one in wanted],
        [one.version for one in wanted],
    )
    return [TicketsBlockedV1(order_id=row["order_id"], blocked=row["blocked"], version=row["version"]) for row in rows]


def _key(row: Any) -> TicketKey:
    return row["order_id"], row["number"]


def _columns(keys: Iterable[TicketKey]) -> tuple[list[UUID], list[int]]:
    pairs = list(keys)
    return [order_id for order_id, _ in pairs], [number for _, number in pairs]
