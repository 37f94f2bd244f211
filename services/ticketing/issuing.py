"""Issues tickets, and tells what an order's valid tickets are. Within a transaction that holds the orders' rows."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from uuid import UUID

from services.ticketing import store
from services.ticketing.codes import MOST_EXTRA_DIGITS
from services.ticketing.domain import Place
from services.ticketing.signing import Signer
from shared.contracts.base import IssuedTicket
from shared.contracts.ticketing import TicketsIssuedV1
from shared.messaging.exceptions import RejectedForGood
from shared.messaging.transaction import Transaction


async def issue(tx: Transaction, signer: Signer, places: Sequence[Place]) -> None:
    """Sign and keep a ticket for each place. A code that exists already is met by a longer one, in this transaction.

    Raises RejectedForGood when the longest are taken too.
    """
    for extra_digits in range(MOST_EXTRA_DIGITS + 1):
        if not places:
            return
        # Off the event loop: a batch of many tickets is tens of milliseconds of signing.
        tickets = await asyncio.to_thread(signer.sign, places, issued_at=tx.now, extra_digits=extra_digits)
        done = await store.insert_tickets(tx.connection, tickets=tickets, now=tx.now)
        places = [place for place in places if place.key not in done]
    if places:
        raise RejectedForGood(f"the codes of order {places[0].order_id} belong to other tickets")


async def say_issued(tx: Transaction, traceparents: Mapping[UUID, str | None]) -> None:
    """Give out ``TicketsIssued`` for each of these orders: the tickets that are valid now."""
    order_ids = list(traceparents)
    orders = await store.list_issued_orders(tx.connection, order_ids=order_ids)
    valid: dict[UUID, list[IssuedTicket]] = defaultdict(list)
    for ticket in await store.list_tickets(tx.connection, order_ids=order_ids):
        if ticket.is_valid:
            valid[ticket.order_id].append(ticket.issued)
    for order_id, traceparent in traceparents.items():
        order = orders[order_id]
        answer = TicketsIssuedV1(
            order_id=order_id,
            email=order.email,
            reference=order.reference,
            event=order.event,
            charge_id=order.charge_id,
            tickets=tuple(valid[order_id]),
        )
        tx.emit(answer, traceparent=traceparent)
