"""The statements on charges, refunds, receipts and open cases. Rows become domain types here."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import asyncpg
import orjson

from services.payments.domain import Charge, Facts, Judgement
from services.payments.domain_refunds import ONLY_ONE, Refund, RefundStatus
from services.payments.store import SQL
from shared.postgres.database import Connection


def _charge(row: asyncpg.Record) -> Charge:
    return Charge(
        charge_id=row["charge_id"],
        reference=row["reference"],
        order_id=row["order_id"],
        amount_kobo=row["amount_kobo"],
        currency=row["currency"],
        paid_at=row["paid_at"],
        is_answered=row["answered"] is not None,
        traceparent=row["traceparent"],
        surcharge_kobo=row["surcharge_kobo"],
    )


def _refund(row: asyncpg.Record) -> Refund:
    fields = {name: row[name] for name in Refund.__dataclass_fields__}
    return Refund(**fields | {"numbers": tuple(row["numbers"])})


async def insert_charge(
    connection: Connection,
    *,
    facts: Facts,
    order_id: UUID | None,
    judgement: Judgement,
    source: Literal["webhook", "lookup"],
    paid_at: datetime,
    ask_after_seconds: float | None,
    answered: Literal["paid", "refund"] | None,
    traceparent: str | None,
) -> bool:
    """Enter a charge; false when it is here already."""
    found = await connection.fetchval(
        SQL["insert_charge"],
        facts.charge_id,
        facts.reference,
        order_id,
        facts.amount_kobo,
        facts.fees_kobo,
        facts.currency,
        facts.domain,
        judgement.verdict,
        judgement.why,
        source,
        paid_at,
        ask_after_seconds,
        answered,
        traceparent,
        judgement.surcharge_kobo,
    )
    return found is not None


async def list_confirmed_charges(connection: Connection, *, order_ids: Sequence[UUID]) -> list[Charge]:
    """The confirmed charges of these orders, oldest first."""
    return [_charge(row) for row in await connection.fetch(SQL["list_confirmed_charges"], list(order_ids))]


async def answer_charges(
    connection: Connection, *, answers: Sequence[tuple[str, UUID]], answer: Literal["paid", "refund"]
) -> None:
    """Tickets (``paid``) or a refund answer for these (charge, order)."""
    await connection.execute(
        SQL["answer_charges"], [charge for charge, _ in answers], [order for _, order in answers], answer
    )


async def claim_unanswered_charges(
    connection: Connection, *, limit: int, first_seconds: float, most_seconds: float
) -> list[Charge]:
    """Charges that are to be confirmed again now."""
    rows = await connection.fetch(SQL["claim_unanswered_charges"], limit, first_seconds, most_seconds)
    return [_charge(row) for row in rows]


@dataclass(frozen=True, slots=True)
class RefundWanted:
    """A refund to be entered."""

    id: UUID
    order_id: UUID
    charge_id: str
    purpose: str
    reference: str
    amount_kobo: int
    currency: str
    email: str | None
    why: str
    traceparent: str | None
    request_id: UUID = ONLY_ONE
    numbers: tuple[int, ...] = ()


async def insert_refunds(connection: Connection, *, wanted: Sequence[RefundWanted]) -> frozenset[UUID]:
    """Enter refunds, each once; returns the ids that are new."""
    names = list(RefundWanted.__dataclass_fields__)
    columns: list[list[object]] = [[getattr(one, name) for one in wanted] for name in names[:-1]]
    # Lists of several lengths are no array of PostgreSQL's.
    columns.append([orjson.dumps(one.numbers).decode() for one in wanted])
    return frozenset(row["id"] for row in await connection.fetch(SQL["insert_refunds"], *columns))


async def list_refunds(connection: Connection, *, charge_ids: Sequence[str]) -> list[Refund]:
    """The refunds of these charges."""
    return [_refund(row) for row in await connection.fetch(SQL["list_refunds"], list(charge_ids))]


@dataclass(frozen=True, slots=True)
class ClaimedRefund:
    """A leased refund: what it was before the lease, and its charge's amount."""

    refund: Refund
    was: RefundStatus
    charge_kobo: int


async def claim_refunds(
    connection: Connection, *, limit: int, claimant: UUID, lease_seconds: float
) -> list[ClaimedRefund]:
    """Lease refunds that are due."""
    rows = await connection.fetch(SQL["claim_refunds"], limit, claimant, lease_seconds)
    return [ClaimedRefund(_refund(row), row["was"], row["charge_kobo"]) for row in rows]


async def list_taken_refund_ids(connection: Connection, *, charge_id: str, refund_id: UUID) -> frozenset[str]:
    """Paystack's ids of the charge's other refunds of ours."""
    rows = await connection.fetch(SQL["list_taken_refund_ids"], charge_id, refund_id)
    return frozenset(row["provider_refund_id"] for row in rows)


async def mark_refund(
    connection: Connection,
    *,
    refund_id: UUID,
    claimant: UUID,
    status: RefundStatus,
    provider_refund_id: str | None,
    provider_status: str | None,
    failure: str | None,
    next_seconds: float,
    tries: int,
    lease_seconds: float,
) -> Refund | None:
    """Record a step; ``None`` when the lease was lost."""
    row = await connection.fetchrow(
        SQL["mark_refund"],
        refund_id,
        claimant,
        status,
        provider_refund_id,
        provider_status,
        failure,
        next_seconds,
        tries,
        lease_seconds,
    )
    return None if row is None else _refund(row)


async def nudge_refunds(connection: Connection, *, reference: str) -> int:
    """Look at this reference's refunds now; returns how many there are."""
    return len(await connection.fetch(SQL["nudge_refunds"], reference))


async def insert_receipt(
    connection: Connection,
    *,
    receipt_id: UUID,
    event: str | None,
    reference: str | None,
    body: bytes,
    loop_after_seconds: float,
) -> None:
    """Keep a webhook."""
    await connection.execute(SQL["insert_receipt"], receipt_id, event, reference, body, loop_after_seconds)


async def lock_receipt(connection: Connection, *, receipt_id: UUID) -> bytes | None:
    """The body of a receipt that had no effect yet, locked; ``None`` when it had or a rival has it."""
    row = await connection.fetchrow(SQL["lock_receipt"], receipt_id)
    return None if row is None else row["body"]


async def claim_receipts(connection: Connection, *, limit: int) -> list[UUID]:
    """Receipts whose handling was interrupted."""
    return [row["id"] for row in await connection.fetch(SQL["claim_receipts"], limit)]


async def mark_receipt(connection: Connection, *, receipt_id: UUID, outcome: str) -> None:
    """It had its effect."""
    await connection.execute(SQL["mark_receipt"], receipt_id, outcome)


async def list_cases(connection: Connection, *, limit: int) -> list[dict[str, Any]]:
    """Open cases, the oldest first."""
    return [dict(row) for row in await connection.fetch(SQL["list_cases"], limit)]


async def count_cases(connection: Connection) -> list[dict[str, Any]]:
    """Number, sum and oldest age of the open cases of each kind."""
    return [dict(row) for row in await connection.fetch(SQL["count_cases"])]


async def list_charges_of_order(connection: Connection, *, order_id: UUID) -> list[dict[str, Any]]:
    """Every charge of one order, whole."""
    return [dict(row) for row in await connection.fetch(SQL["list_charges_of_order"], order_id)]


async def list_refunds_of_order(connection: Connection, *, order_id: UUID) -> list[dict[str, Any]]:
    """Every refund of one order, whole."""
    return [dict(row) for row in await connection.fetch(SQL["list_refunds_of_order"], order_id)]
