"""The statements of the sweep: its position, what it finds, and refunds made by another hand."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from services.payments.domain import Attempt
from services.payments.domain_refunds import ProviderRefund
from services.payments.domain_sweep import KnownCharge, ListedDispute, ListName, Place, Window
from services.payments.store import SQL
from shared.postgres.database import Connection


@dataclass(frozen=True, slots=True)
class Reach:
    """How far and how often a list is swept, in seconds."""

    overlap_seconds: float
    deep_seconds: float
    deep_every_seconds: float
    every_seconds: float


@dataclass(frozen=True, slots=True)
class OutsideRefund:
    """A refund another hand made, that is not final yet."""

    provider_refund_id: str
    charge_id: str
    currency: str


async def claim_sweep(
    connection: Connection, *, name: ListName, claimant: UUID, lease_seconds: float, reach: Reach
) -> Window | None:
    """Lease a list; ``None`` when it is not its time, or when a rival has it."""
    row = await connection.fetchrow(
        SQL["claim_sweep"],
        name,
        claimant,
        lease_seconds,
        reach.overlap_seconds,
        reach.deep_seconds,
        reach.deep_every_seconds,
        reach.every_seconds,
    )
    if row is None or row["window_from"] is None:
        return None
    return Window(row["window_from"], row["window_to"], Place(row["page"], row["cursor"]))


async def mark_swept(
    connection: Connection,
    *,
    name: ListName,
    claimant: UUID,
    place: Place,
    following: Place | None,
    every_seconds: float,
) -> bool:
    """Write that a page is done; false when the lease was lost."""
    then = following or Place()
    found = await connection.fetchval(
        SQL["mark_swept"],
        name,
        claimant,
        place.page,
        place.cursor,
        then.page,
        then.cursor,
        following is None,
        every_seconds,
    )
    return found is not None


async def release_sweep(connection: Connection, *, name: ListName, claimant: UUID) -> None:
    """Give a list back."""
    await connection.execute(SQL["release_sweep"], name, claimant)


async def restart_sweep(connection: Connection, *, name: ListName, claimant: UUID) -> None:
    """Begin the window under way again."""
    await connection.execute(SQL["restart_sweep"], name, claimant)


async def hasten_sweep(connection: Connection, *, name: ListName, reference: str) -> bool:
    """Sweep a list now, if the reference is of money of ours."""
    return await connection.fetchval(SQL["hasten_sweep"], name, reference) is not None


async def list_known_charges(connection: Connection, *, charge_ids: Sequence[str]) -> dict[str, KnownCharge]:
    """Which of these charges we have."""
    rows = await connection.fetch(SQL["list_known_charges"], list(charge_ids))
    return {row["charge_id"]: KnownCharge(**dict(row)) for row in rows}


async def list_listed_attempts(connection: Connection, *, references: Sequence[str]) -> list[Attempt]:
    """Open attempts of these references that need no answer of their own."""
    rows = await connection.fetch(SQL["list_listed_attempts"], list(references))
    return [Attempt(**{name: row[name] for name in Attempt.__dataclass_fields__}) for row in rows]


async def mark_attempts_listed(connection: Connection, *, looks: Sequence[tuple[Attempt, str, float | None]]) -> int:
    """Record (attempt as it was read, what Paystack says, seconds until the next look); returns how many."""
    rows = await connection.fetch(
        SQL["mark_attempts_listed"],
        [attempt.reference for attempt, _, _ in looks],
        [attempt.status for attempt, _, _ in looks],
        [attempt.verify_count for attempt, _, _ in looks],
        [status for _, status, _ in looks],
        [seconds for _, _, seconds in looks],
    )
    return len(rows)


async def list_own_refunds(
    connection: Connection, *, listed: Sequence[tuple[ProviderRefund, UUID | None]]
) -> frozenset[str]:
    """Paystack's ids of those refunds that are ours; beside each, our id from its note."""
    rows = await connection.fetch(
        SQL["list_own_refunds"], [refund.id for refund, _ in listed], [own_id for _, own_id in listed]
    )
    return frozenset(row["provider_refund_id"] for row in rows)


async def put_outside_refund(
    connection: Connection, *, refund: ProviderRefund, charge_id: str, currency: str, look_seconds: float
) -> bool:
    """Enter a refund of another hand, or what became of it; false when that is known, or when it is none of ours."""
    rows = await connection.fetch(
        SQL["put_outside_refunds"],
        [refund.id],
        [charge_id],
        [refund.amount_kobo],
        [currency],
        [refund.status],
        look_seconds,
    )
    return bool(rows)


async def claim_outside_refunds(
    connection: Connection, *, limit: int, first_seconds: float, most_seconds: float
) -> list[OutsideRefund]:
    """Refunds of another hand that are due to be looked at."""
    rows = await connection.fetch(SQL["claim_outside_refunds"], limit, first_seconds, most_seconds)
    return [OutsideRefund(row["provider_refund_id"], row["charge_id"], row["currency"]) for row in rows]


async def put_lost_dispute(connection: Connection, *, dispute: ListedDispute, charge_id: str, currency: str) -> bool:
    """Enter what a lost dispute took; false when it is entered already."""
    return (
        await connection.fetchval(SQL["put_lost_dispute"], dispute.id, charge_id, dispute.amount_kobo, currency)
        is not None
    )


async def put_finding(connection: Connection, *, kind: str, charge_id: str, why: str) -> bool:
    """Open a finding; false when it is open already."""
    return await connection.fetchval(SQL["put_finding"], kind, charge_id, why) is not None


async def close_findings(connection: Connection, *, kind: str, charge_ids: Sequence[str]) -> None:
    """Close what is explained by now."""
    await connection.execute(SQL["close_findings"], kind, list(charge_ids))
