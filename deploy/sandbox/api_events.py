"""The calls about the integration: session time-out, and the webhooks that were sent."""

from typing import Any

from deploy.sandbox import refusals
from deploy.sandbox.model import Delivery, iso
from deploy.sandbox.paging import read_page, select_page
from deploy.sandbox.refusals import Refusal
from deploy.sandbox.replies import Call, Ok

_STATUS = {"delivered": "Delivered", "pending": "Pending", "failed": "Failed"}


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


def _show(delivery: Delivery) -> dict[str, Any]:
    last = delivery.attempts[-1] if delivery.attempts else {"code": None, "error": None}
    return {
        "_id": str(delivery.id),
        "domain": "test",
        "category": delivery.event.split(".", 1)[0],
        "event_name": delivery.event,
        "category_row_id": delivery.id,
        "status": _STATUS[delivery.status],
        "status_detail": str(last["error"] or ""),
        "response_code": last["code"] or 0,
        "trial_count": len(delivery.attempts),
        "webhook_url": delivery.url,
        "event_payload": delivery.body,
        "createdAt": iso(delivery.created_at),
        "updatedAt": iso(last.get("at", delivery.created_at)),
    }


async def list_events(call: Call) -> Ok | Refusal:
    """Return the webhooks that were sent, newest first."""
    page = read_page({**call.query, "use_cursor": "true", "perPage": call.query.get("limit", "50")})
    if isinstance(page, Refusal):
        return page
    status = call.query.get("status")
    rows, meta = select_page(
        reversed(call.bank.ledger.deliveries.values()),
        page,
        lambda row: not status or _STATUS[row.status] == status,
        lambda _: 0,
    )
    return Ok("Webhook events retrieved", [_show(row) for row in rows], meta)


async def lookup(call: Call) -> Ok | Refusal:
    """Return the webhooks about a transaction, by its id or reference."""
    wanted = call.bank.ledger.find(call.query.get("reference", ""))
    rows = [d for d in call.bank.ledger.deliveries.values() if wanted is not None and d.reference == wanted.reference]
    return Ok("Webhook events retrieved", [_show(row) for row in rows]) if rows else refusals.WEBHOOK_NOT_FOUND


async def fetch(call: Call) -> Ok | Refusal:
    """Return one webhook by its id."""
    found = call.bank.ledger.deliveries.get(int(call.match["id"]))
    return refusals.WEBHOOK_NOT_FOUND if found is None else Ok("Webhook event retrieved", _show(found))


async def resend(call: Call) -> Ok | Refusal:
    """Send webhooks again. It is not idempotent: each call sends each of them once more."""
    ids = call.body.get("ids")
    if not isinstance(ids, list) or not ids or len(ids) > 100:
        return refusals.bad_value("ids must be a list of 1 to 100 event ids")
    found = [call.bank.ledger.deliveries.get(int(i)) if str(i).isdecimal() else None for i in ids]
    if None in found:
        return refusals.WEBHOOK_NOT_FOUND
    for delivery in found:
        if delivery is not None:
            call.bank.webhooks.send_again(delivery.event, delivery.reference, delivery.body)
    return Ok("Webhook events queued")
