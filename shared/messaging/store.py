"""The statements on outbox and inbox."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from shared.messaging.publisher import OutgoingMessage
from shared.messaging.topology import is_mandatory
from shared.postgres.database import Connection
from shared.postgres.queries import Queries

_SQL = Queries("shared.messaging")

#: Header that marks a message which is to be handled alone.
SUSPECT_HEADER = "x-suspect"


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """One leased row of the outbox."""

    id: int
    message: OutgoingMessage
    event_count: int
    age_seconds: float


async def get_now(connection: Connection) -> datetime:
    """The database's clock."""
    now: datetime = await connection.fetchval(_SQL["get_now"])
    return now


async def claim_inbox(connection: Connection, *, message_ids: Sequence[UUID]) -> tuple[datetime, frozenset[UUID]]:
    """The database's clock, and those of ``message_ids`` that had no effect here yet."""
    row = await connection.fetchrow(_SQL["claim_inbox"], sorted(message_ids))
    assert row is not None
    return row["now"], frozenset(row["claimed"])


async def insert_outbox(connection: Connection, *, messages: Sequence[tuple[OutgoingMessage, int, bool]]) -> None:
    """Add messages, each with its number of events and whether it is to be handled alone."""
    await connection.execute(
        _SQL["insert_outbox"],
        [message.message_id for message, _, _ in messages],
        [message.type for message, _, _ in messages],
        [message.exchange for message, _, _ in messages],
        [message.routing_key for message, _, _ in messages],
        [message.body for message, _, _ in messages],
        [event_count for _, event_count, _ in messages],
        [suspect for _, _, suspect in messages],
    )


async def claim_outbox(
    connection: Connection, *, limit: int, claimant: UUID, lease_seconds: float, refused_types: Sequence[str]
) -> list[OutboxRow]:
    """Lease up to ``limit`` rows for ``lease_seconds``, oldest first."""
    rows = await connection.fetch(_SQL["claim_outbox"], limit, claimant, lease_seconds, list(refused_types))
    return sorted(
        (
            OutboxRow(
                id=row["id"],
                message=OutgoingMessage(
                    message_id=row["message_id"],
                    type=row["type"],
                    exchange=row["exchange"],
                    routing_key=row["routing_key"],
                    body=row["body"],
                    mandatory=is_mandatory(row["type"]),
                    headers={SUSPECT_HEADER: True} if row["suspect"] else {},
                ),
                event_count=row["event_count"],
                age_seconds=(row["claimed_at"] - row["created_at"]).total_seconds(),
            )
            for row in rows
        ),
        key=lambda row: row.id,
    )


async def mark_outbox_sent(connection: Connection, *, ids: Sequence[int], claimant: UUID) -> None:
    """Record that the broker confirmed these rows."""
    await connection.execute(_SQL["mark_outbox_sent"], list(ids), claimant)


async def release_outbox(connection: Connection, *, reasons: dict[int, str], claimant: UUID) -> None:
    """Give the leases of these rows back, with why each was not sent."""
    await connection.execute(_SQL["release_outbox"], list(reasons), claimant, list(reasons.values()))


async def delete_outbox_sent(connection: Connection, *, retention_seconds: float, limit: int) -> int:
    """Take away old sent rows; returns how many."""
    return _count(await connection.execute(_SQL["delete_outbox_sent"], retention_seconds, limit))


async def delete_inbox(connection: Connection, *, retention_seconds: float, limit: int) -> int:
    """Forget old handled messages; returns how many."""
    return _count(await connection.execute(_SQL["delete_inbox"], retention_seconds, limit))


async def get_outbox_backlog(connection: Connection) -> tuple[int, float]:
    """How many rows wait, and the age of the oldest in seconds."""
    row = await connection.fetchrow(_SQL["get_outbox_backlog"])
    assert row is not None
    return row["pending"], row["oldest_seconds"]


async def insert_suspect_try(connection: Connection, *, message_id: UUID) -> int:
    """Count a lone try; returns how many there were, this one included."""
    tries: int = await connection.fetchval(_SQL["insert_suspect_try"], message_id)
    return tries


async def delete_suspect_try(connection: Connection, *, message_id: UUID) -> None:
    """Forget the lone tries of a message that came back."""
    await connection.execute(_SQL["delete_suspect_try"], message_id)


def _count(status: str) -> int:
    return int(status.rsplit(" ", 1)[-1])
