"""Gives the orders of cancelled events their turn: a loop over what is left, which may die and go on anywhere."""

from services.orders import store
from services.orders.domain_refunds import decide_event_cancelled
from services.orders.handlers import OrderHandlers
from shared.messaging.transaction import Transactions
from shared.runtime.ids import derived_id

#: Orders in one transaction.
LIMIT = 200


class CancelEvents:
    """Ends the unpaid orders of cancelled events and begins the refunds of the paid ones.

    Each order is marked in the transaction that decides on it, so no place needs to be remembered. It never ends: an
    order that was being reserved or paid for at that moment shows up a little later, and gets its turn then. How fast
    the money goes back is for payments to say, within what Paystack allows.
    """

    def __init__(self, transactions: Transactions, handlers: OrderHandlers) -> None:
        self._transactions = transactions
        self._handlers = handlers

    async def run_once(self) -> float | None:
        """Take one batch; returns 0 when there may be more."""
        async with self._transactions.begin() as tx:
            await tx.read_now()
            taken = await store.take_orders_of_cancelled_events(tx.connection, limit=LIMIT)
            changes = []
            for order, event_id, why in taken:
                refund_id = derived_id(order.order_id, "event cancelled", event_id)
                decision = decide_event_cancelled(order, why=why, refund_id=refund_id)
                for message in decision.messages:
                    tx.emit(message, traceparent=order.traceparent)
                changes.append((order, decision.order))
            await self._handlers.write(tx, changes)
        return 0 if len(taken) == LIMIT else None
