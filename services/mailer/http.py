"""Mails for the operator to see and to send again."""

from collections.abc import Callable, Mapping
from uuid import UUID

import structlog
from aiohttp import web

from services.mailer import store
from services.mailer.domain import Hasten, SendAgain, Sending, decide_resend
from services.mailer.operations import LIST_MAILS, RESEND, FoundMails, Resend, view
from shared.http.problems import Problem
from shared.http.requests import json_response, read_json, read_uuid, require_role
from shared.http.routes import Route, route
from shared.messaging.transaction import Transaction, Transactions

_log = structlog.get_logger()

#: Mails in one answer.
LIST_LIMIT = 200


class Routes:
    """``roles`` maps bearer token to role."""

    def __init__(self, transactions: Transactions, roles: Mapping[str, str], wake_sender: Callable[[], None]) -> None:
        self._transactions = transactions
        self._roles = roles
        self._wake_sender = wake_sender

    def all(self) -> list[Route]:
        """Every route of this service."""
        return [
            route("GET", "/v1/admin/mails", self.list_mails, LIST_MAILS),
            route("POST", "/v1/admin/mails/{mail_id}/resend", self.resend, RESEND.taking(Resend)),
        ]

    async def list_mails(self, request: web.Request) -> web.Response:
        """Mails of an order, or those that were given up and not sent again since."""
        require_role(request, self._roles, "operator")
        text, status = request.query.get("order_id"), request.query.get("status")
        if (text is None) == (status is None) or status not in {None, "failed"}:
            raise Problem(422, "invalid", "give order_id, or status=failed")
        async with self._transactions.begin() as tx:
            if text is None:
                mails = await store.list_failed_mails(tx.connection, limit=LIST_LIMIT)
            else:
                mails = await store.list_mails_of_order(tx.connection, order_id=_read_id(text), limit=LIST_LIMIT)
        return json_response(FoundMails(mails=tuple(view(one) for one in mails)))

    async def resend(self, request: web.Request) -> web.Response:
        """202: one more sending, or the one that is on its way already. Any sending names the mail."""
        role = require_role(request, self._roles, "operator")
        mail_id = read_uuid(request, "mail_id", what="mail")
        body = await read_json(request, Resend) if request.can_read_body else Resend()
        async with self._transactions.begin() as tx:
            first_id = await store.lock_first_sending(tx.connection, mail_id=mail_id)
            if first_id is None:
                raise Problem(404, "not_found", "no such mail")
            going = await self._send_again(tx, first_id, body.email)
            tx.after_commit(self._wake_sender)
        _log.info("a mail is sent again", mail_id=str(going.id), order_id=str(going.order_id), by=role)
        return json_response(view(going), status=202)

    async def _send_again(self, tx: Transaction, first_id: UUID, email: str | None) -> Sending:
        decision = decide_resend(await store.list_sendings(tx.connection, first_id=first_id), email)
        match decision:
            case Hasten(mail_id):
                await store.hasten_mail(tx.connection, mail_id=mail_id)
            case SendAgain(sending, to, replaced):
                await store.replace_mails(tx.connection, mail_ids=replaced)
                await store.insert_sending(tx.connection, first_id=first_id, sending=sending, email=to)
        sendings = await store.list_sendings(tx.connection, first_id=first_id)
        going = decision.mail_id if isinstance(decision, Hasten) else sendings[-1].id
        return next(one for one in sendings if one.id == going)


def _read_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise Problem(422, "invalid", "order_id is no UUID") from None
