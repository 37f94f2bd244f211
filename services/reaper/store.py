"""One coroutine for each statement."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from shared.postgres.database import Connection
from shared.postgres.queries import Queries

_SQL = Queries("services.reaper")


@dataclass(frozen=True, slots=True)
class Deadline:
    """An order's time to pay."""

    order_id: UUID
    expires_at: datetime
    traceparent: str | None


async def lock_deadlines(connection: Connection, *, order_ids: Sequence[UUID]) -> None:
    """Lock these orders' deadlines in the order of their ids."""
    await connection.fetch(_SQL["lock_deadlines"], list(order_ids))


async def insert_deadlines(connection: Connection, *, deadlines: Mapping[UUID, Deadline]) -> None:
    """Keep deadlines; a known order keeps its first, and an ended one stays ended."""
    rows = list(deadlines.values())
    await connection.execute(
        _SQL["insert_deadlines"],
        [row.order_id for row in rows],
        [row.expires_at for row in rows],
        [row.traceparent for row in rows],
    )


async def end_deadlines(connection: Connection, *, order_ids: Sequence[UUID]) -> None:
    """These orders have ended."""
    await connection.execute(_SQL["end_deadlines"], list(order_ids))


async def take_due_deadlines(
    connection: Connection, *, limit: int, first_seconds: float, most_seconds: float
) -> list[Deadline]:
    """Claim deadlines that have passed, and set when each is told again."""
    rows = await connection.fetch(_SQL["take_due_deadlines"], limit, first_seconds, most_seconds)
    return [Deadline(row["order_id"], row["expires_at"], row["traceparent"]) for row in rows]


async def get_next_deadline(connection: Connection) -> tuple[datetime | None, float | None]:
    """The next deadline, and the seconds until then, negative when it is overdue; ``None`` twice when there is none."""
    row = await connection.fetchrow(_SQL["get_next_deadline"])
    assert row is not None
    return row["due_at"], row["seconds"]


async def delete_ended_deadlines(connection: Connection, *, retention_seconds: float, limit: int) -> int:
    """Forget orders that ended long ago; returns how many."""
    status = await connection.execute(_SQL["delete_ended_deadlines"], retention_seconds, limit)
    return int(status.rsplit(" ", 1)[-1])
