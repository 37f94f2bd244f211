"""The interface for programs: parse, hand over, render."""

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from aiohttp import web

from services.gateway.catalogue import CatalogueCache
from services.gateway.checkout import CheckoutRequest, Desk, NotAccepted
from services.gateway.client import ServiceClient, Unavailable
from services.gateway.commands import Overloaded
from services.gateway.domain import (
    WRONG_REQUEST,
    CheckoutOutcome,
    KeyReused,
    Known,
    Preference,
    Rejected,
    Unanswered,
    order_id_of,
    read_key,
    read_preference,
    request_hash_of,
)
from services.gateway.metrics import GatewayMetrics
from services.gateway.models import Catalogue, CheckoutBody, EventAnswer, OrderView
from services.gateway.operations import CANCEL_ORDER, CHECK_OUT, GET_EVENT, GET_ORDER, LIST_EVENTS
from services.gateway.settings import GatewaySettings
from services.gateway.views import REASONS, Links
from shared.contracts.gateway import CancelRequestedV1, CheckoutRequestedV1
from shared.contracts.orders import OrderChangedV1
from shared.http.problems import Problem, unavailable
from shared.http.requests import bearer_of, json_response, read_json, read_uuid
from shared.http.routes import Route, route

#: Seconds after which a client may try again.
RETRY_AFTER_SECONDS = 2
#: What carries a token or changes by the second is kept by nobody.
PRIVATE = {"Cache-Control": "no-store"}


class Api:
    """Checkout, orders, events."""

    def __init__(
        self,
        settings: GatewaySettings,
        desk: Desk,
        client: ServiceClient,
        catalogue: CatalogueCache,
        links: Links,
        metrics: GatewayMetrics,
    ) -> None:
        self._settings = settings
        self._secret = settings.order_secret
        self._desk = desk
        self._client = client
        self._catalogue = catalogue
        self._links = links
        self._metrics = metrics
        self._open = 0

    def routes(self) -> list[Route]:
        """Method and path of each."""
        return [
            route("POST", "/v1/checkout", self.post_checkout, CHECK_OUT),
            route("GET", "/v1/orders/{order_id}", self.get_order, GET_ORDER),
            route("DELETE", "/v1/orders/{order_id}", self.delete_order, CANCEL_ORDER),
            route("GET", "/v1/events", self.get_events, LIST_EVENTS),
            route("GET", "/v1/events/{event_id}", self.get_event, GET_EVENT),
        ]

    async def post_checkout(self, request: web.Request) -> web.Response:
        """Take a checkout."""
        try:
            given = read_key(request.headers.get("Idempotency-Key"))
        except ValueError as error:
            raise Problem(
                422, "invalid", str(error), errors=[{"field": "Idempotency-Key", "message": str(error)}]
            ) from (error)
        body = await read_json(request, CheckoutBody)
        preference = self._preference(request)
        key = given or new_key()
        try:
            outcome, order_id = await self.check_out(
                body,
                key,
                wait_seconds=preference.wait_seconds,
                is_repeatable=given is not None,
                traceparent=request.headers.get("traceparent"),
            )
            response = self._render(outcome, order_id, preference)
        except Problem as problem:
            problem.headers |= {"Idempotency-Key": key}
            raise
        response.headers["Idempotency-Key"] = key
        return response

    async def check_out(
        self, body: CheckoutBody, key: str, *, wait_seconds: float, is_repeatable: bool, traceparent: str | None
    ) -> tuple[CheckoutOutcome, UUID]:
        """Hand a valid checkout over and wait. Raises Problem: 503 where it is unknown whether it was accepted."""
        order_id = order_id_of(self._secret, key)
        started = asyncio.get_running_loop().time()
        word = "unknown"
        if self._open >= self._settings.checkouts_most:
            raise _try_again("too many checkouts are open", key)
        self._open += 1
        self._metrics.waiting.set(self._open)
        try:
            command = CheckoutRequestedV1(
                order_id=order_id,
                email=body.email,
                items=body.items,
                request_hash=request_hash_of(body.email, body.items),
                requested_at=datetime.now(UTC),
            )
            outcome = await self._desk.check_out(
                CheckoutRequest(command, wait_seconds, is_repeatable=is_repeatable, traceparent=traceparent)
            )
            word = _word_of(outcome)
        except (NotAccepted, Overloaded) as error:
            raise _try_again("your order may not have reached us: send the same request again", key) from error
        else:
            return outcome, order_id
        finally:
            self._open -= 1
            self._metrics.waiting.set(self._open)
            self._metrics.checkout(word, asyncio.get_running_loop().time() - started)

    async def get_order(self, request: web.Request) -> web.Response:
        """The order as it is now."""
        order_id = self.allowed_order(request)
        return json_response(await self.read_order(order_id), headers=PRIVATE)

    async def delete_order(self, request: web.Request) -> web.Response:
        """Cancel the order."""
        order_id = self.allowed_order(request)
        preference = self._preference(request)
        view = await self.cancel(
            order_id, wait_seconds=preference.wait_seconds, traceparent=request.headers.get("traceparent")
        )
        if view is None or view.status == "pending":
            headers = PRIVATE | {"Location": self._links.order_url(order_id)} | _applied(preference)
            return json_response(self.show(order_id, view), status=202, headers=headers)
        return json_response(self.show(order_id, view), headers=PRIVATE)

    async def cancel(self, order_id: UUID, *, wait_seconds: float, traceparent: str | None) -> OrderChangedV1 | None:
        """The order once it has ended. Raises Problem: 409 when it is paid, 503 when nobody took the request."""
        command = CancelRequestedV1(order_id=order_id, requested_at=datetime.now(UTC))
        try:
            view = await self._desk.cancel(order_id, command, wait_seconds=wait_seconds, traceparent=traceparent)
        except (NotAccepted, Overloaded) as error:
            raise unavailable("the cancellation may not have reached us: send it again") from error
        if view is not None and view.status in {"paid", "refunding", "refunded"}:
            raise Problem(409, "already_paid", "the order is paid and cannot be cancelled", order_id=order_id)
        return view

    async def get_events(self, _: web.Request) -> web.Response:
        """All events."""
        catalogue = await self.read_catalogue()
        return json_response(catalogue, headers=_freshness(catalogue.stale))

    async def get_event(self, request: web.Request) -> web.Response:
        """One event."""
        event_id = read_uuid(request, "event_id", what="event")
        catalogue = await self.read_catalogue()
        for event in catalogue.events:
            if event.id == event_id:
                answer = EventAnswer(**dict(event), stale=catalogue.stale)
                return json_response(answer, headers=_freshness(catalogue.stale))
        raise Problem(404, "not_found", "no such event")

    async def read_catalogue(self) -> Catalogue:
        """The catalogue. Raises Problem: 503 where inventory never answered."""
        try:
            return await self._catalogue.get()
        except Unavailable as error:
            raise unavailable("the list of events cannot be read at the moment") from error

    def allowed_order(self, request: web.Request) -> UUID:
        """The order of the path. Raises Problem: 404 for what is no id, 401 without this order's token."""
        order_id = read_uuid(request, "order_id", what="order")
        # EventSource and links cannot send headers.
        if not self._links.may_read(order_id, bearer_of(request) or request.query.get("token")):
            raise Problem(
                401, "unauthorized", "this order's token is needed", headers={"WWW-Authenticate": "Bearer", **PRIVATE}
            )
        return order_id

    async def read_order(self, order_id: UUID) -> OrderView:
        """What its owner says now. Raises Problem: 503 where that does not answer."""
        try:
            return self.show(order_id, await self._client.get_order(order_id))
        except Unavailable as error:
            raise unavailable("the order cannot be read at the moment; nothing is lost", order_id=order_id) from error

    def show(self, order_id: UUID, view: OrderChangedV1 | None) -> OrderView:
        """The view of a buyer."""
        return self._links.order_view(order_id, view, now=datetime.now(UTC))

    def _preference(self, request: web.Request) -> Preference:
        return read_preference(
            request.headers.getall("Prefer", ()),
            default_seconds=self._settings.wait_seconds,
            most_seconds=self._settings.wait_most_seconds,
        )

    def _render(self, outcome: CheckoutOutcome, order_id: UUID, preference: Preference) -> web.Response:
        headers = PRIVATE | {"Location": self._links.order_url(order_id)} | _applied(preference)
        match outcome:
            case Known(view):
                return json_response(self._links.checkout_answer(view), status=201, headers=headers)
            case Unanswered():
                return json_response(self._links.pending_answer(order_id), status=202, headers=headers)
            case KeyReused():
                raise key_reused()
            case Rejected():
                raise rejection(outcome, order_id)


def new_key() -> str:
    """An Idempotency-Key for a client that sent none."""
    return uuid4().hex


def rejection(outcome: Rejected, order_id: UUID) -> Problem:
    """Why no place was held: 422 for what could never be, 409 for what cannot be now."""
    status = 422 if outcome.reason in WRONG_REQUEST else 409
    extra: dict[str, Any] = {} if outcome.tier_id is None else {"tier_id": outcome.tier_id}
    return Problem(status, outcome.reason, REASONS[outcome.reason], order_id=order_id, **extra)


def key_reused() -> Problem:
    """Another request under a key that is taken."""
    return Problem(422, "idempotency_key_reused", "another order was placed under this Idempotency-Key")


def _try_again(detail: str, key: str) -> Problem:
    return unavailable(detail, after_seconds=RETRY_AFTER_SECONDS, idempotency_key=key)


def _applied(preference: Preference) -> dict[str, str]:
    return {} if preference.applied is None else {"Preference-Applied": preference.applied}


def _freshness(stale: bool) -> dict[str, str]:
    headers = {"Cache-Control": "no-cache"}
    return headers | {"Warning": '110 - "Response is Stale"'} if stale else headers


def _word_of(outcome: CheckoutOutcome) -> str:
    match outcome:
        case Rejected(reason):
            return reason
        case Known():
            return "known"
        case KeyReused():
            return "key_reused"
        case Unanswered():
            return "unanswered"
