"""The calls about transactions."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from deploy.sandbox import refusals, render
from deploy.sandbox.model import CAPTURED, Transaction
from deploy.sandbox.paging import Page, read_page, select_page
from deploy.sandbox.refusals import Refusal
from deploy.sandbox.replies import Call, Ok
from deploy.sandbox.transactions import read_initialize

_STATUSES = {
    "success",
    "failed",
    "abandoned",
    "reversed",
    "reversal-pending",
    "ongoing",
    "pending",
    "processing",
    "queued",
}


async def initialize(call: Call) -> Ok | Refusal:
    """Create a transaction and return the address of its page."""
    wanted = read_initialize(call.body)
    if isinstance(wanted, Refusal):
        return wanted
    made = await call.bank.initialize(wanted)
    if isinstance(made, Refusal):
        return made
    return Ok(
        "Authorization URL created",
        {
            "authorization_url": call.bank.page_url(made),
            "access_code": made.access_code,
            "reference": made.reference,
        },
    )


async def verify(call: Call) -> Ok | Refusal:
    """Return a transaction by its reference."""
    found = call.bank.ledger.by_reference(call.match["reference"])
    if found is None:
        return refusals.reference_not_found(call.bank.settings.unknown_reference_status)
    return Ok("Verification successful", render.transaction(found))


async def fetch(call: Call) -> Ok | Refusal:
    """Return a transaction by its id."""
    found = call.bank.ledger.transactions.get(int(call.match["id"]))
    if found is None:
        return refusals.TRANSACTION_NOT_FOUND
    return Ok("Transaction retrieved", render.transaction(found))


async def list_transactions(call: Call) -> Ok | Refusal:
    """Return transactions, newest first, of every status unless one is asked for."""
    page = read_page(call.query, call.bank.settings.list_meta)
    if isinstance(page, Refusal):
        return page
    status = call.query.get("status")
    if status and status not in _STATUSES:
        return refusals.bad_value(f"Invalid status: use one of {', '.join(sorted(_STATUSES))}")
    rows, meta = _select(call, page)
    return Ok("Transactions retrieved", [render.transaction(row) for row in rows], meta)


def _select(call: Call, page: Page) -> tuple[Sequence[Transaction], dict[str, Any]]:
    status, amount = call.query.get("status"), call.query.get("amount")
    # Paystack filters by the numeric id only; a CUS_ code silently finds nothing.
    customer, reference = call.query.get("customer"), call.query.get("reference")

    def keep(row: Transaction) -> bool:
        return (
            (not status or row.status == status)
            and (not amount or str(row.amount) == amount)
            and (not customer or str(row.customer_id) == customer)
            and (not reference or row.reference == reference)
        )

    return select_page(reversed(call.bank.ledger.transactions.values()), page, keep, lambda row: row.amount)


async def totals(call: Call) -> Ok | Refusal:
    """Return the volume of successful transactions."""
    page = read_page(call.query)
    if isinstance(page, Refusal):
        return page
    volumes: dict[str, int] = defaultdict(int)
    count = 0
    customers = set()
    for row in call.bank.ledger.transactions.values():
        after = page.created_from is None or row.created_at >= page.created_from
        before = page.created_to is None or row.created_at <= page.created_to
        if after and before and row.status in CAPTURED:
            volumes[row.currency] += row.amount
            count += 1
            customers.add(row.customer_id)
    return Ok(
        "Transaction totals",
        {
            "total_transactions": count,
            "unique_customers": len(customers),
            "total_volume": sum(volumes.values()),
            "total_volume_by_currency": [{"currency": c, "amount": a} for c, a in volumes.items()],
            "pending_transfers": 0,
            "pending_transfers_by_currency": [{"currency": "NGN", "amount": 0}],
        },
    )


async def timeline(call: Call) -> Ok | Refusal:
    """Return what happened on the hosted page."""
    found = call.bank.ledger.find(call.match["reference"])
    if found is None:
        return refusals.TRANSACTION_NOT_FOUND
    return Ok("Timeline retrieved", render.log(found) or {})
