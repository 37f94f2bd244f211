"""Asking again: an order that waits for an answer puts its question once more, until it has one."""

from dataclasses import replace
from datetime import timedelta

from services.orders import store
from services.orders.domain_messages import ask
from services.orders.handlers import OrderHandlers
from services.orders.settings import OrdersSettings
from shared.messaging.transaction import Transactions
from shared.runtime.metrics import Metrics

#: Orders in one transaction.
LIMIT = 500


class AskAgain:
    """Puts the questions that are overdue, and brings early messages to orders that are known by now."""

    def __init__(
        self, transactions: Transactions, metrics: Metrics, handlers: OrderHandlers, settings: OrdersSettings
    ) -> None:
        self._transactions = transactions
        self._metrics = metrics
        self._handlers = handlers
        self._settings = settings

    async def run_once(self) -> float | None:
        """Ask what is due; returns the seconds until the next is."""
        async with self._transactions.begin() as tx:
            now = await tx.read_now()
            orders = await store.take_orders_to_ask(tx.connection, limit=LIMIT)
            changes = []
            for order in orders:
                for question in ask(order):
                    tx.emit(question, traceparent=order.traceparent)
                    self._metrics.asked(question.TYPE, 1)
                pause = min(
                    self._settings.ask_again_seconds * 2 ** min(order.asks, 20), self._settings.ask_again_most_seconds
                )
                changes.append((order, replace(order, asks=order.asks + 1, ask_at=now + timedelta(seconds=pause))))
            await store.write_orders(tx.connection, changes=changes)
            seconds = await store.get_seconds_to_ask(tx.connection)
        met = await self._meet()
        if len(orders) == LIMIT or met == LIMIT:
            return 0
        return None if seconds is None else max(seconds, 0.05)

    async def _meet(self) -> int:
        """A message and the order it is about may have been written by two transactions that did not see each
        other; both are here now."""
        async with self._transactions.begin() as tx:
            await tx.read_now()
            met = await store.list_met_orders(tx.connection, limit=LIMIT)
            if met:
                orders = await store.lock_orders(tx.connection, order_ids=met)
                await self._handlers.meet_early_messages(tx, orders)
            await store.delete_early_messages(
                tx.connection, retention_seconds=self._settings.inbox_retention_seconds, limit=LIMIT
            )
        return len(met)
