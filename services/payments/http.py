"""The routes: the link to pay, Paystack's webhooks, the buyer's way back, and the books for an operator."""

import asyncio
from collections.abc import Mapping
from functools import wraps
from uuid import UUID

import orjson
import structlog
from aiohttp import web
from prometheus_client import Counter

from services.payments import store, store_disputes, store_money
from services.payments.domain import Facts, Gone
from services.payments.operations import COME_BACK, PAY, RECEIVE_WEBHOOK, SHOW_PAYMENT
from services.payments.pages import HEADERS, answer, queue_of, wants_json
from services.payments.paying import Busy, InQueue, Page, Paying, RefusedByProvider
from services.payments.settings import PaymentsSettings
from services.payments.sources import is_in, source_of
from services.payments.verifying import Verifying
from services.payments.webhooks import Webhooks, is_authentic
from shared.http.problems import Handler, Problem
from shared.http.requests import json_response, read_uuid, require_role
from shared.http.routes import Route, route
from shared.http.tokens import Tokens
from shared.messaging.transaction import Transactions
from shared.postgres.errors import PASSING
from shared.runtime.metrics import Metrics

_log = structlog.get_logger()

#: Octets a webhook may have.
MAX_BODY_BYTES = 1024 * 1024
#: Longest a webhook's body may take to come; Paystack itself waits 30 seconds for our answer.
READ_SECONDS = 20.0

_GONE = {
    "order_over": ("This order is over", "It can no longer be paid. If money was taken, it goes back by itself."),
    "too_late": ("There is too little time left", "Less than a minute is left to pay, too short to begin."),
    "already_paid": (
        "Your payment has arrived",
        # Also for money that came after the end, so nothing is said about tickets here.
        "There is nothing more to pay. Your order's page shows what it bought, or that it goes back to you.",
    ),
    "nothing_to_pay": ("There is nothing to pay", "This order costs nothing."),
}
_BUSY = {
    "not_known_yet": ("One moment", "Your order is still on its way to the till."),
    "crowded": ("Many people are paying right now", "Your places are held."),
    "unavailable": ("One moment", "We are being interrupted. Your places are held, and nothing was charged by this."),
    "provider_away": ("The payment page is not there yet", "Paystack did not answer. Your places are held."),
}


class Routes:
    """Every route of payments."""

    def __init__(
        self,
        transactions: Transactions,
        paying: Paying,
        verifying: Verifying,
        webhooks: Webhooks,
        tokens: Tokens,
        roles: Mapping[str, str],
        settings: PaymentsSettings,
        metrics: Metrics,
    ) -> None:
        self._transactions = transactions
        self._paying = paying
        self._verifying = verifying
        self._webhooks = webhooks
        self._tokens = tokens
        self._roles = roles
        self._secret_keys = settings.secret_keys
        self._bad_signatures = Counter(
            "payments_webhooks_forged", "Webhooks whose signature no key of ours made", registry=metrics.registry
        )
        self._sources = settings.webhook_sources
        self._proxies = settings.trusted_proxies
        self._strangers = Counter(
            "payments_webhooks_strangers", "Webhooks from an address we take none from", registry=metrics.registry
        )
        self._received = Counter("payments_webhooks_received", "Authentic webhooks", registry=metrics.registry)

    def all(self) -> list[Route]:
        """The routes, for the service's server. A HEAD, as link previews send it, opens no page to pay."""
        return [
            route("GET", "/pay/{order_id}", _for_people(self.pay), PAY, allow_head=False),
            route("POST", "/webhooks/paystack", self.receive_webhook, RECEIVE_WEBHOOK),
            route("GET", "/payments/callback", _for_people(self.come_back), COME_BACK, allow_head=False),
            route("GET", "/v1/admin/payments/{order_id}", self.show_payment, SHOW_PAYMENT),
        ]

    async def pay(self, request: web.Request) -> web.Response:
        """The link to pay: 303 to Paystack's page, or its address as JSON; 410 once the order is over."""
        order_id = _order_id(request)
        if order_id is None or not self._tokens.check(request.query.get("token"), "pay", order_id):
            return answer(
                request,
                status=403,
                code="wrong_token",
                title="This link is not complete",
                text="The link to pay is missing its key, or the key is another order's. Use the link of your order.",
            )
        outcome = await self._paying.click(order_id, traceparent=request.headers.get("traceparent"))
        order_url = self._paying.order_page(order_id)
        match outcome:
            case Page():
                return _hand_out(request, outcome)
            case Gone(code):
                title, text = _GONE[code]
                return answer(request, status=410, code=code, title=title, text=text, order_url=order_url)
            case InQueue():
                return _queue_page(request, outcome)
            case Busy(seconds, why):
                title, text = _BUSY[why]
                return answer(request, status=503, code=why, title=title, text=text, retry_seconds=seconds)
            case RefusedByProvider(why):
                text = f"Paystack does not take this payment: {why}"
                title = "This payment cannot be made"
                return answer(request, status=502, code="provider_refused", title=title, text=text, order_url=order_url)

    async def receive_webhook(self, request: web.Request) -> web.Response:
        """Keep an authentic webhook and answer 200, whatever it says; 401 for any other, which leaves no trace."""
        source = source_of(request.remote, request.headers.getall("X-Forwarded-For", []), self._proxies)
        if self._sources and (source is None or not is_in(source, self._sources)):
            self._strangers.inc()
            _log.warning("a webhook came from a stranger", source=str(source), peer=request.remote)
            raise Problem(403, "wrong_source", "webhooks are not taken from this address")
        try:
            async with asyncio.timeout(READ_SECONDS):
                body = await request.read()
        except TimeoutError as error:
            raise Problem(408, "too_slow", f"the body took longer than {READ_SECONDS:.0f} seconds") from error
        if not is_authentic(body, request.headers.get("x-paystack-signature", ""), self._secret_keys):
            self._bad_signatures.inc()
            raise Problem(401, "bad_signature", "no key of ours signed this")
        self._received.inc()
        receipt_id = await self._webhooks.store(body)
        await self._webhooks.handle_safely(receipt_id)
        return web.Response(text="ok\n")

    async def come_back(self, request: web.Request) -> web.Response:
        """The buyer returns from Paystack. That proves nothing: ask, enter the answer, and show the order."""
        reference = request.query.get("reference") or request.query.get("trxref") or ""
        # NUL is legal in an address and not in text columns.
        reference = reference.replace("\x00", "\ufffd")[:200]
        async with self._transactions.begin() as tx:
            attempt = await store.get_attempt(tx.connection, reference=reference)
        if attempt is None:
            return answer(
                request,
                status=404,
                code="unknown_reference",
                title="We do not know this payment",
                text="No payment of ours has this reference. If you have paid, your order's page shows it.",
            )
        # Whatever comes of it, the order's page follows the order; the loops go on asking.
        found = await self._verifying.look(reference)
        if not (isinstance(found, Facts) and found.is_paid):
            _log.info("a buyer came back unpaid", reference=reference, answer=type(found).__name__)
        return web.Response(status=303, headers={**HEADERS, "Location": self._paying.order_page(attempt.order_id)})

    async def show_payment(self, request: web.Request) -> web.Response:
        """Everything known of one order's money."""
        require_role(request, self._roles, "operator", "organiser")
        order_id = read_uuid(request, "order_id", what="payment")
        async with self._transactions.begin() as tx:
            payment = (await store.list_payments(tx.connection, order_ids=[order_id])).get(order_id)
            if payment is None:
                raise Problem(404, "not_found", "no such payment")
            document = {
                "payment": payment,
                "attempts": await store.list_attempts(tx.connection, order_ids=[order_id]),
                "charges": await store_money.list_charges_of_order(tx.connection, order_id=order_id),
                "refunds": await store_money.list_refunds_of_order(tx.connection, order_id=order_id),
                "disputes": await store_disputes.list_disputes_of_order(tx.connection, order_id=order_id),
            }
        return _rows_response(document)


def _for_people(handler: Handler) -> Handler:
    """A page that comes back by itself where an engine is away for a moment, and not a document for programs."""

    @wraps(handler)
    async def answer_all(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except PASSING as error:
            _log.warning("an engine is away", path=request.path, error=repr(error)[:300])
            title, text = _BUSY["unavailable"]
            return answer(request, status=503, code="unavailable", title=title, text=text, retry_seconds=2)

    return answer_all


def _hand_out(request: web.Request, page: Page) -> web.Response:
    if not wants_json(request):
        return web.Response(status=303, headers={**HEADERS, "Location": page.attempt.authorization_url or ""})
    document = {
        "authorization_url": page.attempt.authorization_url,
        "access_code": page.attempt.access_code,
        "reference": page.attempt.reference,
        "expires_at": page.expires_at,
    }
    return json_response(document, headers=HEADERS)


def _queue_page(request: web.Request, where: InQueue) -> web.Response:
    """A place and a time for who waits; the page comes back by itself, and goes on to Paystack when it is his turn."""
    return answer(
        request,
        status=503,
        code="over_budget",
        title="You are in the queue",
        text="Many people are paying right now. You will be let through to the payment page in the order of arrival.",
        retry_seconds=where.retry_seconds,
        queue=queue_of(
            place=where.place,
            wait_seconds=where.wait_seconds,
            time_left_seconds=where.time_left_seconds,
            expires_at=where.expires_at,
        ),
    )


def _rows_response(document: object) -> web.Response:
    # orjson writes no subclasses of UUID, and the driver's is one.
    def default(value: object) -> str:
        if isinstance(value, UUID):
            return str(value)
        raise TypeError(type(value).__name__)

    return web.Response(body=orjson.dumps(document, default=default), content_type="application/json")


def _order_id(request: web.Request) -> UUID | None:
    try:
        return UUID(request.match_info["order_id"])
    except ValueError:
        return None
