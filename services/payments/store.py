"""The statements on payments, attempts and the budget of calls. Rows become domain types here."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

import asyncpg

from services.payments.domain import Attempt, AttemptStatus, Ending, Payment, Turn
from shared.contracts.inventory import StockReservedV1
from shared.messaging.cloudevents import Event
from shared.postgres.database import Connection
from shared.postgres.queries import Queries

SQL = Queries("services.payments")


#: Order, ending, order reference, e-mail, deadline, charge that paid.
EndingRow = tuple[UUID, Ending, str | None, str | None, datetime | None, str | None]


def _payment(row: asyncpg.Record) -> Payment:
    return Payment(**{name: row[name] for name in Payment.__dataclass_fields__})


def _attempt(row: asyncpg.Record) -> Attempt:
    return Attempt(**{name: row[name] for name in Attempt.__dataclass_fields__})


async def lock_payments(connection: Connection, *, order_ids: Sequence[UUID]) -> dict[UUID, Payment]:
    """Lock these payments, in one order everywhere."""
    rows = await connection.fetch(SQL["lock_payments"], sorted(order_ids))
    return {row["order_id"]: _payment(row) for row in rows}


async def insert_payments(connection: Connection, *, order_ids: Sequence[UUID]) -> None:
    """Make the rows that are missing."""
    await connection.execute(SQL["insert_payments"], sorted(order_ids))


async def list_payments(connection: Connection, *, order_ids: Sequence[UUID]) -> dict[UUID, Payment]:
    """These payments, as they are."""
    rows = await connection.fetch(SQL["list_payments"], list(order_ids))
    return {row["order_id"]: _payment(row) for row in rows}


async def fill_payments(connection: Connection, *, reserved: Sequence[Event[StockReservedV1]]) -> None:
    """Write what was reserved; each order once."""
    await connection.execute(
        SQL["fill_payments"],
        [event.data.order_id for event in reserved],
        [event.data.total_kobo for event in reserved],
        [event.data.currency for event in reserved],
        [event.data.reference for event in reserved],
        [event.data.email for event in reserved],
        [event.data.expires_at for event in reserved],
        [event.traceparent for event in reserved],
        [event.data.event.id for event in reserved],
        [event.data.event.title for event in reserved],
    )


async def end_payments(connection: Connection, *, endings: Sequence[EndingRow]) -> list[UUID]:
    """Write how orders ended; returns which are new."""
    columns: list[list[object]] = [list(column) for column in zip(*endings, strict=True)]
    return [row["order_id"] for row in await connection.fetch(SQL["end_payments"], *columns)]


async def mark_deadlines(
    connection: Connection, *, passed: Sequence[tuple[UUID, datetime, bool, bool]], grace_seconds: float
) -> None:
    """Close (order, deadline, whether abandoned, whether asking begins)."""
    columns: list[list[object]] = [list(column) for column in zip(*passed, strict=True)]
    await connection.execute(SQL["mark_deadlines"], *columns, grace_seconds)


async def close_declined(connection: Connection, *, order_id: UUID, grace_seconds: float) -> Payment | None:
    """Close after a declined card; ``None`` when it is closed already."""
    row = await connection.fetchrow(SQL["close_declined"], order_id, grace_seconds)
    return None if row is None else _payment(row)


async def mark_abandoned(connection: Connection, *, order_id: UUID) -> Payment | None:
    """Nobody paid; ``None`` when the payment is not closing (any more)."""
    row = await connection.fetchrow(SQL["mark_abandoned"], order_id)
    return None if row is None else _payment(row)


async def mark_ticketed(connection: Connection, *, charges: Mapping[UUID, str | None]) -> None:
    """Write that orders have their tickets, and which charge those name."""
    await connection.execute(SQL["mark_ticketed"], list(charges), list(charges.values()))


async def list_attempts(connection: Connection, *, order_ids: Sequence[UUID]) -> list[Attempt]:
    """All attempts of these orders, oldest first."""
    return [_attempt(row) for row in await connection.fetch(SQL["list_attempts"], list(order_ids))]


async def get_attempt(connection: Connection, *, reference: str) -> Attempt | None:
    """The attempt of this reference."""
    row = await connection.fetchrow(SQL["get_attempt"], reference)
    return None if row is None else _attempt(row)


async def insert_attempt(
    connection: Connection, *, reference: str, order_id: UUID, amount_kobo: int, currency: str, lease_seconds: float
) -> None:
    """Store an attempt before Paystack hears of it."""
    await connection.execute(SQL["insert_attempt"], reference, order_id, amount_kobo, currency, lease_seconds)


async def mark_attempt(
    connection: Connection,
    *,
    reference: str,
    was: Sequence[AttemptStatus],
    status: AttemptStatus,
    look_after_seconds: float | None,
) -> bool:
    """Change the status; false when it was none of ``was``."""
    found = await connection.fetchval(SQL["mark_attempt"], reference, list(was), status, look_after_seconds)
    return found is not None


async def mark_attempt_open(
    connection: Connection, *, reference: str, authorization_url: str, access_code: str, look_after_seconds: float
) -> Attempt | None:
    """Record the page; ``None`` when the attempt's lease was lost."""
    row = await connection.fetchrow(
        SQL["mark_attempt_open"], reference, authorization_url, access_code, look_after_seconds
    )
    return None if row is None else _attempt(row)


async def mark_attempt_verified(
    connection: Connection,
    *,
    reference: str,
    status: AttemptStatus,
    provider_status: str | None,
    is_denied: bool,
    was_answered: bool,
) -> Attempt:
    """Record an answer that brought no money."""
    row = await connection.fetchrow(
        SQL["mark_attempt_verified"], reference, status, provider_status, is_denied, was_answered
    )
    assert row is not None, f"attempt {reference} is gone"
    return _attempt(row)


async def mark_attempt_settled(connection: Connection, *, reference: str, status: AttemptStatus) -> None:
    """Money came under this reference."""
    await connection.execute(SQL["mark_attempt_settled"], reference, status)


async def schedule_attempt(connection: Connection, *, reference: str, seconds: float | None) -> None:
    """When Paystack is asked about it again; ``None`` for never."""
    await connection.execute(SQL["schedule_attempt"], reference, seconds)


async def schedule_attempts(
    connection: Connection, *, order_ids: Sequence[UUID], seconds: float, forget_denials: bool
) -> None:
    """Ask Paystack about all attempts of these orders that may still bring money."""
    await connection.execute(SQL["schedule_attempts"], list(order_ids), seconds, forget_denials)


async def claim_attempts(connection: Connection, *, limit: int, lease_seconds: float) -> list[str]:
    """Lease references that are due to be looked up."""
    return [row["reference"] for row in await connection.fetch(SQL["claim_attempts"], limit, lease_seconds)]


async def get_due(connection: Connection, *, what: str) -> float | None:
    """Seconds until the next of ``attempts``, ``charges``, ``refunds`` or ``receipts`` is due; ``None``: none is."""
    seconds: float | None = await connection.fetchval(SQL[f"get_{what}_due"])
    return seconds


async def lock_budget(connection: Connection, *, name: str) -> float:
    """Lock a budget; returns for how many seconds Paystack wants no calls."""
    paused: float = await connection.fetchval(SQL["lock_budget"], name)
    return paused or 0.0


async def take_call(
    connection: Connection, *, name: str, limit: int, window_seconds: float, call_seconds: float
) -> tuple[int | None, float]:
    """Count one call under the lock; its number, or ``None`` and the seconds until there is room for it."""
    row = await connection.fetchrow(SQL["take_call"], name, limit, window_seconds, call_seconds)
    assert row is not None
    return row["call"], row["wait_seconds"]


async def end_call(connection: Connection, *, call: int) -> None:
    """Write that a call has ended."""
    await connection.execute(SQL["end_call"], call)


async def take_turn(
    connection: Connection,
    *,
    order_id: UUID,
    limit: int,
    window_seconds: float,
    call_seconds: float,
    patience_seconds: float,
    is_locked: bool,
) -> Turn | None:
    """A buyer's turn or place in the queue; ``None`` when only the budget's lock can give one."""
    row = await connection.fetchrow(
        SQL["take_turn"], order_id, limit, window_seconds, call_seconds, patience_seconds, is_locked
    )
    return None if row is None else Turn(row["place"], row["wait_seconds"], row["is_due"], row["call"])


async def release_turn(connection: Connection, *, order_id: UUID) -> None:
    """Put a buyer back where he stood."""
    await connection.execute(SQL["release_turn"], order_id)


async def delete_turn(connection: Connection, *, order_id: UUID) -> None:
    """Take a buyer out of the queue."""
    await connection.execute(SQL["delete_turn"], order_id)


async def delete_old_turns(connection: Connection, *, older_than_seconds: float) -> None:
    """Forget who left long ago."""
    await connection.execute(SQL["delete_old_turns"], older_than_seconds)


async def delete_calls(connection: Connection, *, older_than_seconds: float) -> None:
    """Forget old calls."""
    await connection.execute(SQL["delete_calls"], older_than_seconds)


async def pause_budget(connection: Connection, *, name: str, seconds: float) -> None:
    """No calls for so long, in any replica."""
    await connection.execute(SQL["pause_budget"], name, seconds)
