"""The statements on disputes. Rows become domain types here."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import asyncpg

from services.payments.domain_disputes import Dispute, DisputeStatus, ProviderDispute
from services.payments.store import SQL
from shared.contracts.orders import DisputeNotedV1
from shared.postgres.database import Connection


def _dispute(row: asyncpg.Record) -> Dispute:
    return Dispute(**{name: row[name] for name in Dispute.__dataclass_fields__})


async def upsert_dispute(
    connection: Connection, *, one: ProviderDispute, status: DisputeStatus, order_id: UUID | None
) -> Dispute | None:
    """Keep what is said of a dispute; ``None`` where nothing is new."""
    row = await connection.fetchrow(
        SQL["upsert_dispute"],
        one.dispute_id,
        one.charge_id,
        order_id,
        one.reference,
        one.amount_kobo,
        one.currency,
        status,
        one.status,
        one.resolution,
        one.category,
        one.due_at,
        one.resolved_at,
    )
    return None if row is None else _dispute(row)


async def claim_disputes(
    connection: Connection, *, limit: int, first_seconds: float, most_seconds: float
) -> list[Dispute]:
    """Disputes that orders is told of now."""
    rows = await connection.fetch(SQL["claim_disputes"], limit, first_seconds, most_seconds)
    return [_dispute(row) for row in rows]


async def mark_disputes_noted(connection: Connection, *, noted: Sequence[DisputeNotedV1]) -> None:
    """Orders knows how these stand."""
    await connection.execute(
        SQL["mark_disputes_noted"],
        [one.dispute_id for one in noted],
        [one.status for one in noted],
        [one.tickets for one in noted],
    )
    await connection.execute(SQL["close_dispute_findings"], [one.dispute_id for one in noted])


async def put_lost_dispute_of_charge(connection: Connection, *, one: ProviderDispute) -> None:
    """Book what a lost dispute took."""
    await connection.execute(SQL["put_lost_dispute_of_charge"], one.dispute_id, one.charge_id, one.amount_kobo)


async def list_disputes_of_order(connection: Connection, *, order_id: UUID) -> list[dict[str, Any]]:
    """Every dispute of one order, whole."""
    return [dict(row) for row in await connection.fetch(SQL["list_disputes_of_order"], order_id)]
