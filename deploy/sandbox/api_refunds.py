"""The calls about refunds."""

from deploy.sandbox import refusals, render
from deploy.sandbox.model import Refund
from deploy.sandbox.paging import read_page, select_page
from deploy.sandbox.refunds import read_refund
from deploy.sandbox.refusals import Refusal
from deploy.sandbox.replies import Call, Ok


async def create(call: Call) -> Ok | Refusal:
    """Queue a refund of all or a part of a charge."""
    wanted = read_refund(call.body)
    if isinstance(wanted, Refusal):
        return wanted
    if call.faults.insufficient_balance:
        return refusals.INSUFFICIENT_BALANCE
    made = await call.bank.refund(wanted, by="api@boxoffice.example")
    if isinstance(made, Refusal):
        return made
    charge = call.bank.ledger.transactions[made.transaction]
    return Ok("Refund has been queued for processing", render.refund(made, charge, created=True))


async def list_refunds(call: Call) -> Ok | Refusal:
    """Return refunds, newest first. Only a numeric transaction id filters; a reference finds nothing."""
    page = read_page(call.query, call.bank.settings.list_meta)
    if isinstance(page, Refusal):
        return page
    transaction, currency = call.query.get("transaction"), call.query.get("currency")

    def keep(row: Refund) -> bool:
        return not currency or row.currency == currency

    ledger = call.bank.ledger
    rows = reversed(ledger.refunds.values())
    if transaction:
        rows = reversed(ledger.refunds_of(int(transaction) if transaction.isdecimal() else -1))
    selected, meta = select_page(rows, page, keep, lambda row: row.amount)
    data = [render.refund(row, ledger.transactions[row.transaction]) for row in selected]
    return Ok("Refunds retrieved", data, meta)


async def fetch(call: Call) -> Ok | Refusal:
    """Return a refund by its id."""
    found = call.bank.ledger.refunds.get(int(call.match["id"]))
    if found is None:
        return refusals.REFUND_NOT_FOUND
    return Ok("Refund retrieved", render.refund(found, call.bank.ledger.transactions[found.transaction]))


async def retry(call: Call) -> Ok | Refusal:
    """Take up a refund that needs attention, with the account to pay to."""
    found = call.bank.ledger.refunds.get(int(call.match["id"]))
    if found is None:
        return refusals.REFUND_NOT_FOUND
    account = call.body.get("refund_account_details")
    if not isinstance(account, dict):
        return refusals.missing("refund_account_details")
    for name in ("currency", "account_number", "bank_id"):
        if not account.get(name):
            return refusals.missing(f"refund_account_details.{name}")
    made = await call.bank.retry_refund(found)
    if isinstance(made, Refusal):
        return made
    charge = call.bank.ledger.transactions[made.transaction]
    return Ok("Refund retried and has been queued for processing", render.refund(made, charge))
