"""What tests and people at the keyboard may do to the sandbox, under ``/sandbox``. No key is needed."""

from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from aiohttp import web
from pydantic import ValidationError

from deploy.sandbox import books, refusals
from deploy.sandbox.control_bodies import (
    Body,
    DisputeBody,
    EventBody,
    FaultsBody,
    RefundBody,
    RefundStatusBody,
    ResendBody,
    SecretBody,
    SettleBody,
)
from deploy.sandbox.model import Delivery, Transaction, iso
from deploy.sandbox.refunds import RefundWanted
from deploy.sandbox.refusals import Refusal, bad_value
from deploy.sandbox.replies import BANK, TRAFFIC, json_response, read_body
from deploy.sandbox.traffic import Faults, RateLimiter
from deploy.sandbox.transactions import Decision, read_initialize

B = TypeVar("B", bound=Body)
Reply = tuple[int, Any]


def control(model: type[B], handler: Callable[[web.Request, B], Awaitable[Reply | Refusal]]) -> Any:
    """Wrap a handler: check the body against its model, and say what is wrong with it."""

    async def answer(request: web.Request) -> web.Response:
        body = await read_body(request)
        if isinstance(body, Refusal):
            return json_response(body.envelope(), body.http_status)
        try:
            wanted = model.model_validate(body)
        except ValidationError as error:
            wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            return json_response(bad_value(wrong).envelope(), 400)
        result = await handler(request, wanted)
        if isinstance(result, Refusal):
            return json_response(result.envelope(), result.http_status)
        return json_response(result[1], result[0])

    return answer


def _find(request: web.Request, reference: str) -> Transaction | Refusal:
    return request.app[BANK].ledger.by_reference(reference) or refusals.TRANSACTION_NOT_FOUND


async def settle(request: web.Request, body: SettleBody) -> Reply | Refusal:
    """Decide a transaction; answers once that is in the ledger, webhooks follow after the answer."""
    bank, reference = request.app[BANK], request.match_info["reference"]
    found = _find(request, reference)
    if isinstance(found, Refusal) and body.create:
        asked = {"email": body.email, "amount": body.amount or 5_000, "reference": reference}
        wanted = read_initialize(asked)
        found = wanted if isinstance(wanted, Refusal) else await bank.initialize(wanted)
    if isinstance(found, Refusal):
        return found
    decision = Decision(body.outcome, body.amount, body.currency, body.domain, body.card, body.gateway_response)
    changed = await bank.settle(found, decision, webhooks=body.webhooks, delay_seconds=body.delay_seconds)
    if isinstance(changed, Refusal):
        return changed
    return 200, {
        "id": changed.id,
        "reference": changed.reference,
        "status": changed.status,
        "amount": changed.amount,
        "currency": changed.currency,
        "domain": changed.domain,
        "paid_at": iso(changed.paid_at),
    }


async def plant(request: web.Request, body: FaultsBody) -> Reply | Refusal:
    """Plant faults and limits; answers with all that are planted now."""
    state = request.app[TRAFFIC]
    for name in body.model_fields_set - {"endpoints", "rate_limit_per_minute"}:
        value = getattr(body, name)
        if isinstance(getattr(Faults(), name), int) and not isinstance(getattr(Faults(), name), bool):
            value = -1 if value is True else int(value)
        setattr(state.faults, name, value)
    if "endpoints" in body.model_fields_set:
        state.faults.endpoints = frozenset(body.endpoints)
    if "rate_limit_per_minute" in body.model_fields_set:
        state.limiter = RateLimiter(str(body.rate_limit_per_minute))
    return 200, _faults_view(state.faults)


async def clear(request: web.Request) -> web.Response:
    """Take all faults away and let held calls go; limits stay."""
    state = request.app[TRAFFIC]
    state.faults = Faults()
    state.release()
    return json_response(_faults_view(state.faults))


async def faults(request: web.Request) -> web.Response:
    """Return the faults that are planted."""
    return json_response(_faults_view(request.app[TRAFFIC].faults))


def _faults_view(planted: Faults) -> dict[str, Any]:
    names = ("latency_seconds", "fail_next", "timeout_before_charge", "timeout_after_charge", "down")
    view = {name: getattr(planted, name) for name in (*names, "insufficient_balance")}
    return {**view, "endpoints": sorted(planted.endpoints)}


async def refund(request: web.Request, body: RefundBody) -> Reply | Refusal:
    """Refund in the dashboard, behind the product's back."""
    bank = request.app[BANK]
    found = _find(request, body.reference)
    if isinstance(found, Refusal):
        return found
    wanted = RefundWanted(str(found.id), body.amount, None, None, None)
    made = await bank.refund(wanted, by="dashboard@boxoffice.example", outcome=body.outcome, webhooks=body.webhooks)
    if isinstance(made, Refusal):
        return made
    return 200, {"id": made.id, "transaction": made.transaction, "amount": made.amount, "status": made.status}


async def force_refund(request: web.Request, body: RefundStatusBody) -> Reply | Refusal:
    """Put a refund into a status at once."""
    bank = request.app[BANK]
    found = bank.ledger.refunds.get(int(request.match_info["id"]))
    if found is None:
        return refusals.REFUND_NOT_FOUND
    made = await bank.force_refund(found, body.status, body.webhooks)
    return 200, {"id": made.id, "transaction": made.transaction, "amount": made.amount, "status": made.status}


async def dispute(request: web.Request, body: DisputeBody) -> Reply | Refusal:
    """Open a dispute against a charge."""
    found = _find(request, body.reference)
    if isinstance(found, Refusal):
        return found
    made = await request.app[BANK].dispute(
        found, amount=body.amount, category=body.category, due_seconds=body.due_seconds, webhooks=body.webhooks
    )
    if isinstance(made, Refusal):
        return made
    return 200, {"id": made.id, "transaction": made.transaction, "status": made.status, "due_at": iso(made.due_at)}


async def remind(request: web.Request, _body: Body) -> Reply | Refusal:
    """Send the reminder of a dispute that Paystack sends every four hours."""
    bank = request.app[BANK]
    found = bank.ledger.disputes.get(int(request.match_info["id"]))
    if found is None:
        return refusals.DISPUTE_NOT_FOUND
    await bank.save_dispute(found, "charge.dispute.remind")
    return 200, {"id": found.id, "status": found.status}


async def resend(request: web.Request, body: ResendBody) -> Reply | Refusal:
    """Send a webhook about a reference again, or for the first time if it was lost."""
    found = _find(request, body.reference)
    if isinstance(found, Refusal):
        return found
    if not request.app[BANK].resend(found, body.event, body.copies):
        return bad_value(f"There was no {body.event} about {body.reference}", 404)
    return 200, {"reference": found.reference, "event": body.event, "copies": body.copies}


async def send(request: web.Request, body: EventBody) -> Reply | Refusal:
    """Send any event, known to the sandbox or not."""
    request.app[BANK].webhooks.send(body.event, body.reference, body.data, copies=body.copies)
    return 200, {"event": body.event, "reference": body.reference, "copies": body.copies}


async def change_key(request: web.Request, body: SecretBody) -> Reply | Refusal:
    """Roll the secret key."""
    request.app[BANK].change_key(body.secret_key, keep_pending=body.pending_webhooks == "old_key")
    return 200, {"pending_webhooks": body.pending_webhooks}


async def ledger(request: web.Request) -> web.Response:
    """Return every charge and refund, and their sums."""
    return json_response(books.view(request.app[BANK].ledger))


async def calls(request: web.Request) -> web.Response:
    """Return how often each endpoint was called, and the most calls in any 60 (or ``?window_seconds=``) seconds."""
    text = request.query.get("window_seconds")
    try:
        seconds = None if text is None else float(text)
    except ValueError:
        seconds = 0
    if seconds is not None and not 0 < seconds <= 86_400:
        return json_response(bad_value("window_seconds must be more than 0 and at most 86400").envelope(), 400)
    return json_response(request.app[TRAFFIC].calls.view(seconds))


async def webhooks(request: web.Request) -> web.Response:
    """Return what was sent, oldest first, with the code of every attempt; ``?reference=`` and ``?event=`` filter."""
    reference, event = request.query.get("reference"), request.query.get("event")
    rows = [
        _delivery_view(row)
        for row in request.app[BANK].ledger.deliveries.values()
        if (not reference or row.reference == reference) and (not event or row.event == event)
    ]
    return json_response(rows)


def _delivery_view(row: Delivery) -> dict[str, Any]:
    return {
        "id": row.id,
        "event": row.event,
        "reference": row.reference,
        "status": row.status,
        "codes": [attempt["code"] for attempt in row.attempts],
        "attempts": row.attempts,
        "url": row.url,
        "body": row.body,
        "created_at": iso(row.created_at),
    }


async def idle(request: web.Request) -> web.Response:
    """Wait until no webhook is pending and no refund moves by itself; 408 after ``timeout_seconds`` (10)."""
    try:
        seconds = float(request.query.get("timeout_seconds", "10"))
    except ValueError:
        seconds = -1
    if not 0 <= seconds <= 300:
        return json_response(bad_value("timeout_seconds must be from 0 to 300").envelope(), 400)
    bank = request.app[BANK]
    done = await bank.bell.wait_until(bank.is_idle, seconds)
    return json_response({"idle": done, "pending_webhooks": bank.webhooks.pending}, 200 if done else 408)


_ROUTES: Final[tuple[tuple[str, str, Any], ...]] = (
    ("POST", "/sandbox/transactions/{reference}", control(SettleBody, settle)),
    ("POST", "/sandbox/faults", control(FaultsBody, plant)),
    ("DELETE", "/sandbox/faults", clear),
    ("GET", "/sandbox/faults", faults),
    ("POST", "/sandbox/refunds", control(RefundBody, refund)),
    ("POST", r"/sandbox/refunds/{id:\d{1,20}}", control(RefundStatusBody, force_refund)),
    ("POST", "/sandbox/disputes", control(DisputeBody, dispute)),
    ("POST", r"/sandbox/disputes/{id:\d{1,20}}/remind", control(Body, remind)),
    ("POST", "/sandbox/webhooks/resend", control(ResendBody, resend)),
    ("POST", "/sandbox/webhooks", control(EventBody, send)),
    ("POST", "/sandbox/secret", control(SecretBody, change_key)),
    ("GET", "/sandbox/webhooks", webhooks),
    ("GET", "/sandbox/ledger", ledger),
    ("GET", "/sandbox/calls", calls),
    ("GET", "/sandbox/idle", idle),
)


def add_control(app: web.Application) -> None:
    """Register everything under ``/sandbox``."""
    for method, path, handler in _ROUTES:
        app.router.add_route(method, path, handler)
