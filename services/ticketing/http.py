"""Ticketing's routes: public keys for gates, an order's tickets for operators."""

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from services.ticketing import store
from services.ticketing.domain import TicketRow
from services.ticketing.operations import GET_KEYS, GET_TICKETS
from services.ticketing.signing import Signer
from shared.http.problems import Problem
from shared.http.requests import json_response, read_uuid, require_role
from shared.http.routes import Route, route
from shared.postgres.database import Database


class TicketingRoutes:
    """The routes, with what they need."""

    def __init__(self, database: Database, signer: Signer, roles_by_token: Mapping[str, str]) -> None:
        self._database = database
        self._signer = signer
        self._roles_by_token = roles_by_token

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            route("GET", "/v1/keys", self.get_keys, GET_KEYS),
            route("GET", "/v1/admin/orders/{order_id}/tickets", self.get_tickets, GET_TICKETS),
        ]

    async def get_keys(self, _: web.Request) -> web.Response:
        """The public keys that verify QR texts, by id: 64 hex digits, or an object if compromised. Not secret."""
        cut_offs = self._signer.signing_ring.compromised_at
        # An object on purpose: who does not know of cut-offs cannot read the key, and so does not trust it.
        keys: dict[str, Any] = {
            key_id: {"public_key": key.hex(), "compromised_at": cut_offs[key_id]} if key_id in cut_offs else key.hex()
            for key_id, key in self._signer.public_keys.items()
        }
        return json_response(keys, headers={"Cache-Control": "public, max-age=60"})

    async def get_tickets(self, request: web.Request) -> web.Response:
        """One order's tickets, valid and revoked, and what requests to revoke came to."""
        require_role(request, self._roles_by_token, "organiser", "operator")
        order_id = read_uuid(request, "order_id", what="order")
        async with self._database.acquire() as connection:
            orders = await store.list_issued_orders(connection, order_ids=[order_id])
            tickets = await store.list_tickets(connection, order_ids=[order_id])
            revocations = await store.list_revocations(connection, order_ids=[order_id])
        if order_id not in orders:
            raise Problem(404, "not_found", "no tickets were issued for such an order")
        order = orders[order_id]
        return json_response(
            {
                "order_id": str(order_id),
                "reference": order.reference,
                "email": order.email,
                "event": order.event.model_dump(mode="json"),
                "charge_id": order.charge_id,
                "tickets": [self._render(ticket) for ticket in tickets],
                "revocations": [{"number": number, "outcome": outcome} for (_, number), outcome in revocations.items()],
            }
        )

    def _render(self, ticket: TicketRow) -> dict[str, Any]:
        return {
            **ticket.issued.model_dump(mode="json"),
            "status": ticket.status,
            "issued_at": ticket.issued_at,
            "revoked_at": ticket.revoked_at,
            "code_key_id": ticket.code_key_id,
            "code_key_status": self._signer.code_status(ticket),
            "qr_key_id": ticket.qr_key_id,
            "qr_key_status": self._signer.qr_status(ticket),
        }
