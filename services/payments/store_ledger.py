"""The statements on the journal's sums and on what operators write down of open cases."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from services.payments.store import SQL
from shared.postgres.database import Connection


@dataclass(frozen=True, slots=True)
class Sums:
    """The three views of all money that have to agree."""

    events: list[dict[str, Any]]
    accounts: list[dict[str, Any]]
    facts: list[dict[str, Any]]


#: Seconds the sums over everything may take. They read each charge and each line of the journal.
SUMS_SECONDS = 120.0


async def begin_snapshot(connection: Connection) -> None:
    """Let the whole transaction see one moment, and take longer than others may."""
    await connection.execute(SQL["begin_snapshot"])
    await connection.execute(SQL["set_sums_timeout"], str(int(SUMS_SECONDS * 1000)))


async def read_sums(connection: Connection) -> Sums:
    """The sums by event, by account of the journal, and by the facts."""
    return Sums(
        events=[dict(row) for row in await connection.fetch(SQL["list_event_sums"], timeout=SUMS_SECONDS)],
        accounts=[dict(row) for row in await connection.fetch(SQL["list_account_sums"], timeout=SUMS_SECONDS)],
        facts=[dict(row) for row in await connection.fetch(SQL["list_fact_sums"], timeout=SUMS_SECONDS)],
    )


async def get_case(connection: Connection, *, case_id: str) -> dict[str, Any] | None:
    """One open case."""
    row = await connection.fetchrow(SQL["get_case"], case_id)
    return None if row is None else dict(row)


async def lock_balance(connection: Connection, *, charge_id: str | None) -> tuple[int, int]:
    """What is open of a charge and what is on its way back, in kobo, with the charge locked."""
    row = await connection.fetchrow(SQL["lock_balance"], charge_id)
    return (0, 0) if row is None else (row["open_kobo"], row["owed_kobo"])


async def insert_settlement(
    connection: Connection,
    *,
    case_id: str,
    kind: str,
    charge_id: str | None,
    order_id: UUID | None,
    kobo: int,
    currency: str | None,
    reason: str,
    settled_by: str,
) -> bool:
    """Close a case; false when it was closed before."""
    found = await connection.fetchval(
        SQL["insert_settlement"], case_id, kind, charge_id, order_id, kobo, currency, reason, settled_by
    )
    return found is not None
