"""The routes of the ledger: the sums and the open cases, for operators and organisers."""

from collections.abc import Mapping
from typing import Annotated

from aiohttp import web
from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints

from services.payments import store_money
from services.payments.ledger import MAX_CASES, Books, describe
from services.payments.operations_ledger import CLOSE_CASE, LIST_CASES, SHOW_LEDGER
from shared.http.problems import Problem
from shared.http.requests import json_response, read_json, require_role, without_controls
from shared.http.routes import Route, route
from shared.messaging.transaction import Transactions

_REFUSED = {
    "not_found": (404, "not_found", "there is no such open case, or it is closed"),
    "closes_by_itself": (409, "closes_by_itself", "this case closes by itself when its cause is gone"),
    "under_way": (409, "refund_under_way", "money of this charge is on its way back; wait for its end"),
}


class CloseBody(BaseModel):
    """Why a case is closed by hand; kept for ever."""

    model_config = ConfigDict(extra="forbid")

    reason: Annotated[
        str, StringConstraints(strip_whitespace=True, min_length=3, max_length=500), AfterValidator(without_controls)
    ]


class LedgerRoutes:
    """Who may look at the books may see all of them; only an operator closes a case."""

    def __init__(self, transactions: Transactions, books: Books, roles: Mapping[str, str]) -> None:
        self._transactions = transactions
        self._books = books
        self._roles = roles

    def all(self) -> list[Route]:
        """The routes, for the service's server."""
        return [
            route("GET", "/v1/admin/ledger", self.show_ledger, SHOW_LEDGER),
            route("GET", "/v1/admin/cases", self.list_cases, LIST_CASES),
            route("POST", "/v1/admin/cases/{case_id}/close", self.close_case, CLOSE_CASE.taking(CloseBody)),
        ]

    async def show_ledger(self, request: web.Request) -> web.Response:
        """Captured, ticketed, refunded, settled and open, per event and in all, with every open case."""
        require_role(request, self._roles, "operator", "organiser")
        return json_response((await self._books.read()).document())

    async def list_cases(self, request: web.Request) -> web.Response:
        """Open cases, the oldest first, each with its age in seconds and what is to be done."""
        require_role(request, self._roles, "operator", "organiser")
        async with self._transactions.begin() as tx:
            cases = await store_money.list_cases(tx.connection, limit=MAX_CASES)
            totals = await store_money.count_cases(tx.connection)
        return json_response({"cases": [describe(case) for case in cases], "totals": totals})

    async def close_case(self, request: web.Request) -> web.Response:
        """Close a case that no service can, with a reason."""
        role = require_role(request, self._roles, "operator")
        body = await read_json(request, CloseBody)
        case_id = request.match_info["case_id"]
        outcome = await self._books.close(case_id, reason=body.reason, role=role)
        if outcome != "closed":
            status, code, text = _REFUSED[outcome]
            raise Problem(status, code, text)
        return json_response({"case_id": case_id, "closed": True})
