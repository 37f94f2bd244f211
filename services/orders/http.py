"""Orders for the gateway to show, and for the organiser and operator to find, refund and cancel."""

from collections.abc import Mapping
from typing import Annotated

from aiohttp import web
from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints

from services.orders import store
from services.orders.domain import Decision, decide, decide_refund
from services.orders.domain_messages import view
from services.orders.domain_order import Order
from services.orders.handlers import OrderHandlers
from services.orders.operations import CANCEL, GET_ORDER, REFUND, SEARCH, SHOW_ORDER
from shared.contracts.gateway import CancelRequestedV1
from shared.http.problems import Problem
from shared.http.requests import json_response, read_json, read_uuid, require_role, without_controls
from shared.http.routes import Route, route
from shared.messaging.transaction import Transaction, Transactions

#: Orders in one answer of the search.
SEARCH_LIMIT = 100


class Refund(BaseModel):
    """Why an order is refunded; the buyer reads it."""

    model_config = ConfigDict(extra="forbid")

    why: Annotated[str, StringConstraints(min_length=1, max_length=300), AfterValidator(without_controls)] = (
        "refunded by the organiser"
    )


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
        """202: tickets are revoked first, then stock and money go back. 409 unless the order is paid."""
        require_role(request, self._roles, "operator", "organiser")
        body = await read_json(request, Refund) if request.can_read_body else Refund()
        async with self._transactions.begin() as tx:
            order = await self._lock(tx, request)
            decision = decide_refund(order, why=body.why)
            if decision is None:
                raise Problem(409, "not_refundable", f"the order is {order.status}", order_status=order.status)
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

    async def _lock(self, tx: Transaction, request: web.Request) -> Order:
        await tx.read_now()
        order_id = read_uuid(request, "order_id", what="order")
        order = (await store.lock_orders(tx.connection, order_ids=[order_id])).get(order_id)
        if order is None:
            raise Problem(404, "not_found", "no such order")
        return order
