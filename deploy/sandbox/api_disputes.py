"""The calls about disputes."""

import time
from dataclasses import replace

from deploy.sandbox import refusals, render
from deploy.sandbox.disputes import read_evidence, read_refund_amount, read_resolution
from deploy.sandbox.model import DISPUTE_STATUSES, Dispute, iso
from deploy.sandbox.paging import read_page, select_page
from deploy.sandbox.refusals import Refusal
from deploy.sandbox.replies import Call, Ok


def _find(call: Call) -> Dispute | Refusal:
    return call.bank.ledger.disputes.get(int(call.match["id"]), refusals.DISPUTE_NOT_FOUND)


def _show(call: Call, dispute: Dispute) -> dict[str, object]:
    return render.dispute(dispute, call.bank.ledger.transactions[dispute.transaction])


async def list_disputes(call: Call) -> Ok | Refusal:
    """Return disputes, newest first."""
    page = read_page(call.query, call.bank.settings.list_meta)
    if isinstance(page, Refusal):
        return page
    status, transaction = call.query.get("status"), call.query.get("transaction")
    if status and status not in DISPUTE_STATUSES:
        return refusals.bad_value("Invalid status")

    def keep(row: Dispute) -> bool:
        return (not status or row.status == status) and (not transaction or str(row.transaction) == transaction)

    rows, meta = select_page(reversed(call.bank.ledger.disputes.values()), page, keep, lambda row: row.refund_amount)
    return Ok("Disputes retrieved", [_show(call, row) for row in rows], meta)


async def fetch(call: Call) -> Ok | Refusal:
    """Return a dispute by its id."""
    found = _find(call)
    return found if isinstance(found, Refusal) else Ok("Dispute retrieved", _show(call, found))


async def of_transaction(call: Call) -> Ok | Refusal:
    """Return the disputes of one transaction."""
    rows = call.bank.ledger.disputes_of(int(call.match["id"]))
    if not rows:
        return refusals.DISPUTE_NOT_FOUND
    return Ok("Dispute retrieved successfully", [_show(call, row) for row in rows])


async def update(call: Call) -> Ok | Refusal:
    """Change how much an open dispute is about."""
    found, amount = _find(call), read_refund_amount(call.body)
    if isinstance(found, Refusal):
        return found
    if isinstance(amount, Refusal):
        return amount
    if found.status == "resolved":
        return refusals.DISPUTE_CLOSED
    if amount > call.bank.ledger.transactions[found.transaction].amount:
        return refusals.DISPUTE_AMOUNT
    attachments = str(call.body.get("uploaded_filename") or found.attachments)
    changed = replace(found, refund_amount=amount, attachments=attachments, updated_at=time.time())
    await call.bank.save_dispute(changed)
    return Ok("Dispute updated successfully", _show(call, changed))


async def add_evidence(call: Call) -> Ok | Refusal:
    """Take the merchant's side of the story."""
    found, given = _find(call), read_evidence(call.body)
    if isinstance(found, Refusal):
        return found
    if isinstance(given, Refusal):
        return given
    at = time.time()
    times = {"createdAt": iso(at), "updatedAt": iso(at)}
    evidence = {**given, "dispute": found.id, "id": call.bank.ledger.new_id(), **times}
    await call.bank.save_dispute(replace(found, evidence=evidence, updated_at=at))
    return Ok("Evidence created", evidence)


async def upload_url(call: Call) -> Ok | Refusal:
    """Return an address to upload evidence to; the sandbox takes no files."""
    found, name = _find(call), call.query.get("upload_filename", "")
    if isinstance(found, Refusal):
        return found
    if not name:
        return refusals.missing("upload_filename")
    _, dot, ending = name.rpartition(".")
    stored = f"{found.id:x}{dot}{ending if dot else ''}"
    return Ok("Upload url generated", {"signedUrl": f"{call.bank.public_url}/uploads/{stored}", "fileName": stored})


async def resolve(call: Call) -> Ok | Refusal:
    """Accept or decline a claim."""
    found, wanted = _find(call), read_resolution(call.body)
    if isinstance(found, Refusal):
        return found
    if isinstance(wanted, Refusal):
        return wanted
    changed = await call.bank.resolve(found, wanted)
    if isinstance(changed, Refusal):
        return changed
    return Ok("Dispute successfully resolved", _show(call, changed))
