"""The calls about the integration: session time-out, and the webhooks that were sent."""

import secrets
from collections.abc import Mapping
from typing import Any, Final

import orjson

from deploy.sandbox import refusals
from deploy.sandbox.ledger import Ledger
from deploy.sandbox.model import Delivery, iso
from deploy.sandbox.paging import read_page, select_page
from deploy.sandbox.refusals import Refusal
from deploy.sandbox.replies import Call, Ok

_STATUS: Final = {"delivered": "Delivered", "pending": "Pending", "failed": "Failed"}
_MOST_RESENT: Final = 1_000


async def session_timeout(call: Call) -> Ok | Refusal:
    """Return how many seconds a hosted page takes money for; 0 is for ever."""
    return Ok("Payment session timeout retrieved", {"payment_session_timeout": int(call.bank.session_seconds)})


async def set_session_timeout(call: Call) -> Ok | Refusal:
    """Set how many seconds a hosted page takes money for; it lasts until the sandbox ends."""
    seconds = call.body.get("timeout")
    if isinstance(seconds, bool) or not isinstance(seconds, int) or not 0 <= seconds <= 86_400:
        return refusals.bad_value("timeout must be a number of seconds from 0 to 86400")
    call.bank.session_seconds = float(seconds)
    return Ok("Payment session timeout updated", {"payment_session_timeout": seconds})


async def list_events(call: Call) -> Ok | Refusal:
    """Return the webhooks that were sent, newest first, by cursor."""
    page = read_page({**call.query, "use_cursor": "true", "perPage": call.query.get("limit", "50")})
    if isinstance(page, Refusal):
        return page
    if page.older_than is not None and page.newer_than is not None:
        return refusals.bad_value("Invalid query: must be one of next or previous")
    ledger = call.bank.ledger
    rows, meta = select_page(
        reversed(ledger.deliveries.values()), page, lambda row: _matches(ledger, row, call.query), lambda _: 0
    )
    return Ok("Webhooks listed", [_short(ledger, row) for row in rows], meta)


async def lookup(call: Call) -> Ok | Refusal:
    """Return the newest webhook about a transaction, by the transaction's numeric id or the event's own."""
    wanted = call.query.get("reference")
    if not wanted:
        return refusals.missing("reference")
    ledger = call.bank.ledger
    for row in reversed(ledger.deliveries.values()):
        if wanted in {_event_id(row), str(_row_id(ledger, row))}:
            return Ok("Webhook Retrieved", _full(ledger, row))
    return refusals.WEBHOOK_NOT_FOUND


async def fetch(call: Call) -> Ok | Refusal:
    """Return one webhook by its id."""
    found = call.bank.ledger.deliveries.get(int(call.match["id"], 16))
    return refusals.WEBHOOK_NOT_FOUND if found is None else Ok("Webhook Retrieved", _full(call.bank.ledger, found))


async def resend(call: Call) -> Ok | Refusal:
    """Send webhooks again. It is not idempotent: each call sends each of them once more."""
    ids = call.body.get("ids")
    if not isinstance(ids, list) or not ids or len(ids) > _MOST_RESENT:
        return refusals.bad_value("ids must be a non-empty array")
    known = {_event_id(row): row for row in call.bank.ledger.deliveries.values()}
    failed = [str(event_id) for event_id in ids if str(event_id) not in known]
    found = [known[str(event_id)] for event_id in ids if str(event_id) in known]
    for row in found:
        call.bank.webhooks.send_again(row.event, row.reference, row.body)
    data = {"count": len(found), "failed": len(failed), "failed_ids": failed}
    return Ok("Resend accepted", data, http_status=202)


async def resend_matching(call: Call) -> Ok | Refusal:
    """Send every webhook again that matches a filter; with ``?preview=true`` only count them."""
    filters = call.body.get("filters", {})
    if not isinstance(filters, dict):
        return refusals.bad_value("filters must be an object")
    ledger = call.bank.ledger
    texts = {name: str(value) for name, value in filters.items()}
    found = [row for row in ledger.deliveries.values() if _matches(ledger, row, texts)]
    if call.query.get("preview", "").lower() == "true":
        return Ok("Preview", {"count": len(found)})
    for row in found[:_MOST_RESENT]:
        call.bank.webhooks.send_again(row.event, row.reference, row.body)
    sent = min(len(found), _MOST_RESENT)
    data = {"count": sent, "skipped": len(found) - sent, "batch_id": f"rbatch_{secrets.token_hex(3)}"}
    return Ok("Resend accepted", data, http_status=202)


def _event_id(row: Delivery) -> str:
    return f"{row.id:024x}"


def _category(row: Delivery) -> str:
    if row.event.startswith("charge.dispute."):
        return "disputes"
    return "refunds" if row.event.startswith("refund.") else "transactions"


def _row_id(ledger: Ledger, row: Delivery) -> int:
    transaction = ledger.by_reference(row.reference)
    return 0 if transaction is None else transaction.id


def _matches(ledger: Ledger, row: Delivery, wanted: Mapping[str, str]) -> bool:
    values = {
        "status": _STATUS[row.status],
        "event_type": row.event,
        "category": _category(row),
        "category_row_id": str(_row_id(ledger, row)),
    }
    return all(not wanted.get(name) or wanted[name] == value for name, value in values.items())


def _short(ledger: Ledger, row: Delivery) -> dict[str, Any]:
    last = row.attempts[-1] if row.attempts else {}
    return {
        "_id": _event_id(row),
        "domain": "test",
        "category": _category(row),
        "event_name": row.event,
        "category_row_id": _row_id(ledger, row),
        "status": _STATUS[row.status],
        "status_detail": "retrying" if row.status == "pending" and row.attempts else row.status,
        "response_code": last.get("code") or 0,
        "trial_count": len(row.attempts),
        "createdAt": iso(row.created_at),
        "updatedAt": iso(last.get("at", row.created_at)),
    }


def _full(ledger: Ledger, row: Delivery) -> dict[str, Any]:
    payload = {"webhook_url": row.url, "webhook_url_code": None, "event_payload": orjson.loads(row.body)}
    return {**_short(ledger, row), **payload, "merchant_response_body": None}
