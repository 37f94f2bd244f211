"""Orders for the gateway to show, and for the organiser and operator to find, refund and cancel."""

import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Annotated, Self
from uuid import UUID

from aiohttp import web
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from services.orders import store
from services.orders.domain import Decision, decide
from services.orders.domain_messages import view
from services.orders.domain_order import Order
from services.orders.domain_refunds import Choice, Refused, TierPlaces, decide_refund
from services.orders.handlers import OrderHandlers
from services.orders.operations import CANCEL, GET_ORDER, REFUND, SEARCH, SHOW_CANCELLATION, SHOW_ORDER, cancellation_of
from shared.contracts.base import Quantity, TicketNumber
from shared.contracts.gateway import CancelRequestedV1
from shared.http.problems import Problem
from shared.http.requests import json_response, read_json, read_uuid, require_role, without_controls
from shared.http.routes import Route, route
from shared.messaging.transaction import Transaction, Transactions
from shared.runtime.ids import derived_id, new_id

#: Orders in one answer of the search.
SEARCH_LIMIT = 100
_KEY = re.compile(r"[A-Za-z0-9_.:~+/=-]{16,64}")


class Refund(BaseModel):
    """What is given back of an order, and why; the buyer reads it.

    Tickets by number, or so many places of one tier, or, with neither, everything that is left.
    """

    model_config = ConfigDict(extra="forbid")

    why: Annotated[str, StringConstraints(min_length=1, max_length=300), AfterValidator(without_controls)] | None = None
    numbers: Annotated[tuple[TicketNumber, ...], Field(min_length=1, max_length=20_000)] | None = None
    tier_id: UUID | None = None
    quantity: Quantity | None = None

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        if (self.tier_id is None) != (self.quantity is None):
            raise ValueError("tier_id and quantity go together")
        if self.numbers is not None and self.tier_id is not None:
            raise ValueError("give numbers, or tier_id and quantity")
        return self

    @property
    def choice(self) -> Choice:
        """What is chosen."""
        if self.tier_id is not None and self.quantity is not None:
            return TierPlaces(self.tier_id, self.quantity)
        return self.numbers


class Routes:
    """``roles`` maps bearer token to role."""

    def __init__(self, transactions: Transactions, handlers: OrderHandlers, roles: Mapping[str, str]) -> None:
        self._transactions = transactions
        self._handlers = handlers
        self._roles = roles

    def all(self) -> list[Route]:
        """Every route of this service."""
        return [
            route("GET", "/v1/orders/{order_id}", self.get_order, GET_ORDER),
            route("GET", "/v1/admin/orders", self.search, SEARCH),
            route("GET", "/v1/admin/orders/{order_id}", self.get_order, SHOW_ORDER),
            route("POST", "/v1/admin/orders/{order_id}/refund", self.refund, REFUND.taking(Refund)),
            route("POST", "/v1/admin/orders/{order_id}/cancel", self.cancel, CANCEL),
            route("GET", "/v1/admin/events/{event_id}/cancellation", self.show_cancellation, SHOW_CANCELLATION),
        ]

    async def get_order(self, request: web.Request) -> web.Response:
        """The whole view, for services and operators; what a buyer may see is the gateway's to say."""
        require_role(request, self._roles, "service", "operator", "organiser")
        order_id = read_uuid(request, "order_id", what="order")
        async with self._transactions.begin() as tx:
            order = await store.get_order(tx.connection, order_id=order_id)
        if order is None:
            raise Problem(404, "not_found", "no such order")
        return json_response(view(order))

    async def search(self, request: web.Request) -> web.Response:
        """Orders by ``reference`` or ``email``, newest first, at most 100."""
        require_role(request, self._roles, "operator", "organiser")
        reference, email = request.query.get("reference"), request.query.get("email")
        if not reference and not email:
            raise Problem(422, "invalid", "give reference or email")
        if "\0" in f"{reference}{email}":
            raise Problem(422, "invalid", "no reference or email has a NUL in it")
        async with self._transactions.begin() as tx:
            orders = await store.list_orders(
                tx.connection, reference=reference.upper() if reference else None, email=email, limit=SEARCH_LIMIT
            )
        return json_response({"orders": [view(order).model_dump(mode="json") for order in orders]})

    async def refund(self, request: web.Request) -> web.Response:
        """202: tickets are revoked first, then stock and money go back. 409 where there is nothing to give back.

        With an ``Idempotency-Key`` a repeat is the same refund, whatever has become of it since.
        """
        require_role(request, self._roles, "operator", "organiser")
        body = await read_json(request, Refund) if request.can_read_body else Refund()
        key = request.headers.get("Idempotency-Key")
        if key is not None and _KEY.fullmatch(key) is None:
            raise Problem(422, "invalid", "an Idempotency-Key has 16 to 64 letters, digits or signs out of _.:~+/=-")
        async with self._transactions.begin() as tx:
            order = await self._lock(tx, request)
            decision = decide_refund(
                order,
                why=body.why or "",
                refund_id=new_id() if key is None else derived_id(order.order_id, "refund", key),
                choice=body.choice,
                asked=sha256(body.model_dump_json().encode()).hexdigest(),
            )
            if isinstance(decision, Refused):
                status = 422 if decision.code in {"key_reused", "unknown_number"} else 409
                numbers = list(decision.numbers)
                raise Problem(status, decision.code, decision.detail, order_status=order.status, numbers=numbers)
            order = await self._handlers.decide_one(tx, order, decision)
        return json_response(view(order), status=202)

    async def cancel(self, request: web.Request) -> web.Response:
        """200 with the order; 409 when it has ended otherwise."""
        require_role(request, self._roles, "operator", "organiser")
        async with self._transactions.begin() as tx:
            order = await self._lock(tx, request)
            if order.status not in {"pending", "cancelled"}:
                raise Problem(409, "not_cancellable", f"the order is {order.status}", order_status=order.status)
            if order.status == "pending":
                message = CancelRequestedV1(order_id=order.order_id, requested_at=tx.now)
                decision: Decision = decide(order, message, now=tx.now)
                order = await self._handlers.decide_one(tx, order, decision)
        return json_response(view(order))

    async def show_cancellation(self, request: web.Request) -> web.Response:
        """How far a cancelled event is: its orders by what has become of them, and the money."""
        require_role(request, self._roles, "operator", "organiser")
        event_id = read_uuid(request, "event_id", what="event")
        async with self._transactions.begin() as tx:
            event = await store.get_cancelled_event(tx.connection, event_id=event_id)
            if event is None:
                raise Problem(404, "not_found", "no such event is cancelled")
            orders = await store.count_orders_of_event(tx.connection, event_id=event_id)
            refunds = await store.count_refunds_of_event(tx.connection, event_id=event_id)
        return json_response(cancellation_of(event, orders, refunds))

    async def _lock(self, tx: Transaction, request: web.Request) -> Order:
        await tx.read_now()
        order_id = read_uuid(request, "order_id", what="order")
        order = (await store.lock_orders(tx.connection, order_ids=[order_id])).get(order_id)
        if order is None:
            raise Problem(404, "not_found", "no such order")
        return order
