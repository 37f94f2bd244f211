"""What the mailer does with each message: a mail is written down, once, and the send loop is woken."""

from collections.abc import Callable, Sequence
from uuid import UUID

import structlog

from services.mailer import store
from services.mailer.domain import (
    NewMail,
    RefundMessage,
    TicketKey,
    decide_expired_mail,
    decide_refund_mail,
    newest_of_places,
    tickets_mail,
)
from shared.contracts.base import IssuedTicket
from shared.contracts.orders import OrderExpiredV1
from shared.contracts.ticketing import TicketsIssuedV1
from shared.messaging.cloudevents import Event
from shared.messaging.transaction import Transaction

_log = structlog.get_logger()


class MailerHandlers:
    """The handlers. No rows are locked beforehand: a mail's row is only ever added here, and its key decides."""

    def __init__(self, wake_sender: Callable[[], None]) -> None:
        self._wake_sender = wake_sender

    async def on_tickets_issued(self, tx: Transaction, events: Sequence[Event[TicketsIssuedV1]]) -> None:
        """A mail for each order with the tickets that were in none yet. Repeated lists give none."""
        first: dict[UUID, Event[TicketsIssuedV1]] = {}
        tickets: dict[TicketKey, IssuedTicket] = {}
        for event in events:
            first.setdefault(event.data.order_id, event)
            for ticket in event.data.tickets:
                tickets.setdefault((event.data.order_id, ticket.number), ticket)
        places = newest_of_places(tickets)
        # To each holder the tickets that are his: one that was issued again may be somebody else's than the order's.
        fresh: dict[tuple[UUID, str | None], list[IssuedTicket]] = {}
        for key in await store.insert_mailed_tickets(tx.connection, places=places):
            fresh.setdefault((key[0], tickets[key].email), []).append(tickets[key])
        await self._insert(
            tx,
            [
                tickets_mail(first[order_id].data, listed, first[order_id].traceparent, holder=holder)
                for (order_id, holder), listed in fresh.items()
            ],
        )

    async def on_order_expired(self, tx: Transaction, events: Sequence[Event[OrderExpiredV1]]) -> None:
        """A mail to buyers who had gone to pay."""
        await self._insert(tx, [decide_expired_mail(event.data, event.traceparent) for event in events])

    async def on_refund(self, tx: Transaction, events: Sequence[Event[RefundMessage]]) -> None:
        """A mail for each step of a refund."""
        mails = [decide_refund_mail(event.data, event.traceparent) for event in events]
        for event, mail in zip(events, mails, strict=True):
            if mail is None:
                _log.warning("a refund's buyer has no address", order_id=str(event.data.order_id))
        await self._insert(tx, mails)

    async def _insert(self, tx: Transaction, mails: Sequence[NewMail | None]) -> None:
        wanted = [mail for mail in mails if mail is not None]
        if wanted:
            await store.insert_mails(tx.connection, mails=wanted)
            tx.after_commit(self._wake_sender)
