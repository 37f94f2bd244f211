"""What ticketing does with each message: lock, decide, write, answer, for a whole batch at a time."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from services.ticketing import store
from services.ticketing.domain import (
    Outcome,
    TicketKey,
    decide_places,
    decide_revocations,
    refusal_of,
)
from services.ticketing.issuing import issue, say_issued
from services.ticketing.signing import Signer
from shared.contracts.orders import BlockRequestedV1, OrderPaidV1, RevokeRequestedV1
from shared.contracts.ticketing import TicketsRevokedV1
from shared.messaging.cloudevents import Event
from shared.messaging.transaction import Transaction


class TicketingHandlers:
    """The handlers, with the keys."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer

    async def lock_rows(self, tx: Transaction, events: Sequence[Event[Any]]) -> None:
        """Lock all orders of the batch, in id order, making the rows of those that are new."""
        order_ids = sorted({event.data.order_id for event in events})
        await store.insert_orders(tx.connection, order_ids=order_ids)
        await store.lock_orders(tx.connection, order_ids=order_ids)

    async def on_order_paid(self, tx: Transaction, events: Sequence[Event[OrderPaidV1]]) -> None:
        """Issue tickets, once; answer with those that are valid now, every time.

        Numbers that were asked to be revoked before are issued and revoked at once, and that request is answered too.
        """
        # The first message of an order wins over a repeat in the same batch, as it does over a later one.
        orders = {event.data.order_id: event.data for event in reversed(events)}
        fresh = await store.mark_orders_issued(tx.connection, orders=list(orders.values()), now=tx.now)
        await issue(tx, self._signer, [place for order_id in fresh for place in decide_places(orders[order_id])])
        settled = await _settle_revocations(tx, list(fresh))
        traceparents = {event.data.order_id: event.traceparent for event in events}
        await say_issued(tx, traceparents)
        for order_id, numbers in _numbers_by_order(settled).items():
            tx.emit(_revoked(order_id, numbers, settled), traceparent=traceparents[order_id])

    async def on_revoke_requested(self, tx: Transaction, events: Sequence[Event[RevokeRequestedV1]]) -> None:
        """Revoke, or refuse what was let in or never existed; answer, every time the same.

        An order that is not known to be paid gets no answer yet: the request is kept until it is.
        """
        asked = {(event.data.order_id, number) for event in events for number in event.data.numbers}
        await store.insert_revocations(tx.connection, keys=sorted(asked))
        order_ids = list({event.data.order_id for event in events})
        await _settle_revocations(tx, order_ids)
        outcomes = await store.list_revocations(tx.connection, order_ids=order_ids)
        for event in events:
            numbers = sorted(set(event.data.numbers))
            if (event.data.order_id, numbers[0]) in outcomes:
                tx.emit(_revoked(event.data.order_id, numbers, outcomes), traceparent=event.traceparent)

    async def on_block_requested(self, tx: Transaction, events: Sequence[Event[BlockRequestedV1]]) -> None:
        """Block an order's tickets, or let them in again: the newest word counts, and is the answer."""
        newest = {event.data.order_id: event for event in sorted(events, key=lambda event: event.data.version)}
        stands = await store.set_blocks(tx.connection, wanted=[event.data for event in newest.values()])
        for one in stands:
            tx.emit(one, traceparent=newest[one.order_id].traceparent)


async def _settle_revocations(tx: Transaction, order_ids: Sequence[UUID]) -> dict[TicketKey, Outcome]:
    """Decide what is still open of these orders; returns what was decided now."""
    asked = await store.list_open_revocations(tx.connection, order_ids=order_ids)
    if not asked:
        return {}
    of_place = await store.list_place_tickets(tx.connection, keys=asked)
    locked = await store.lock_tickets(tx.connection, keys={key for keys in of_place.values() for key in keys})
    admitted = await store.list_admitted(tx.connection, keys=locked)
    outcomes = decide_revocations(asked, of_place=of_place, admitted=admitted)
    await store.settle_revocations(tx.connection, outcomes=list(outcomes.items()), now=tx.now)
    granted = {key for asked, outcome in outcomes.items() if outcome == "revoked" for key in of_place[asked]}
    await store.mark_tickets_revoked(tx.connection, keys=granted, now=tx.now)
    return outcomes


def _numbers_by_order(outcomes: dict[TicketKey, Outcome]) -> dict[UUID, list[int]]:
    numbers: dict[UUID, list[int]] = defaultdict(list)
    for order_id, number in sorted(outcomes):
        numbers[order_id].append(number)
    return numbers


def _revoked(order_id: UUID, numbers: Sequence[int], outcomes: dict[TicketKey, Outcome]) -> TicketsRevokedV1:
    ends = [(number, outcomes[order_id, number]) for number in numbers]
    return TicketsRevokedV1(
        order_id=order_id,
        numbers=tuple(number for number, outcome in ends if outcome == "revoked"),
        refused=tuple(refusal_of(number, outcome) for number, outcome in ends if outcome != "revoked"),
    )
