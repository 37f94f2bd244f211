"""Ticketing's routes: public keys for gates, an order's tickets for operators, and a ticket for another holder."""

import re
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from services.ticketing import store
from services.ticketing.domain import TicketRow
from services.ticketing.domain_reissue import Refusal, Refused, ReissueRequest
from services.ticketing.operations import GET_KEYS, GET_TICKETS, KEY_PATTERN, REISSUE, NewHolder
from services.ticketing.reissuing import Reissuing
from services.ticketing.signing import Signer
from shared.http.problems import Problem
from shared.http.requests import json_response, read_json, read_uuid, require_role
from shared.http.routes import Route, route
from shared.postgres.database import Database

_NUMBER = re.compile(r"[1-9][0-9]{0,4}")
_KEY = re.compile(KEY_PATTERN)
_REFUSALS: Mapping[Refusal, tuple[int, str]] = {
    "not_found": (404, "no such ticket was issued"),
    "key_reused": (422, "this ticket was issued again to another address under this Idempotency-Key"),
    "already_reissued": (409, "the ticket was issued again already; issue its new number again"),
    "revoked": (409, "the ticket is revoked"),
    "already_admitted": (409, "the ticket was already admitted"),
    "blocked": (409, "the order's tickets are blocked"),
    "too_many": (409, "the order has no number left"),
}


class TicketingRoutes:
    """The routes, with what they need."""

    def __init__(
        self, database: Database, signer: Signer, reissuing: Reissuing, roles_by_token: Mapping[str, str]
    ) -> None:
        self._database = database
        self._signer = signer
        self._reissuing = reissuing
        self._roles_by_token = roles_by_token

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            route("GET", "/v1/keys", self.get_keys, GET_KEYS),
            route("GET", "/v1/admin/orders/{order_id}/tickets", self.get_tickets, GET_TICKETS),
            route(
                "POST", "/v1/admin/orders/{order_id}/tickets/{number}/reissue", self.reissue, REISSUE.taking(NewHolder)
            ),
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
            reissues = await store.list_reissues(connection, order_id=order_id)
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
                "reissues": [
                    {
                        "number": one.number,
                        "new_number": one.new_number,
                        "email": one.request.email,
                        "why": one.request.why,
                        "asked_by": one.request.asked_by,
                        "reissued_at": one.reissued_at,
                    }
                    for one in reissues
                ],
            }
        )

    async def reissue(self, request: web.Request) -> web.Response:
        """201 with the new ticket, the old one being revoked; 200 when the same request was answered before.

        409 when the ticket was admitted, revoked, blocked, or issued again by another request.
        """
        role = require_role(request, self._roles_by_token, "organiser", "operator")
        order_id = read_uuid(request, "order_id", what="order")
        number = request.match_info["number"]
        if _NUMBER.fullmatch(number) is None:
            raise Problem(404, "not_found", "no such ticket")
        key = request.headers.get("Idempotency-Key", "").strip().strip('"')
        if _KEY.fullmatch(key) is None:
            raise Problem(422, "invalid", "give an Idempotency-Key of 16 to 64 characters A-Z a-z 0-9 _ . : ~ + / = -")
        body = await read_json(request, NewHolder)
        asked = ReissueRequest(number=int(number), key=key, email=body.email, why=body.why, asked_by=role)
        done = await self._reissuing.reissue(order_id, asked)
        if isinstance(done, Refused):
            status, detail = _REFUSALS[done.why]
            more: dict[str, Any] = {} if done.new_number is None else {"new_number": done.new_number}
            raise Problem(status, done.why, detail, **more)
        ticket = {**self._render(done.ticket), "email": done.ticket.issued.email or done.order.email}
        return json_response(ticket, status=201 if done.is_new else 200)

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
