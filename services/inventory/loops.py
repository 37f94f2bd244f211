"""Asking again: a hold that outlived its deadline repeats its reservation until the order's end is heard."""

from services.inventory import store
from services.inventory.handlers import emit_reserved
from services.inventory.settings import InventorySettings
from shared.contracts.inventory import EventCancelledV1, StockReservedV1
from shared.messaging.transaction import Transactions
from shared.runtime.metrics import Metrics

#: Holds in one transaction.
LIMIT = 500


class AskAboutHolds:
    """``orders`` answers a reservation of an ended order by repeating how it ended."""

    def __init__(self, transactions: Transactions, metrics: Metrics, settings: InventorySettings) -> None:
        self._transactions = transactions
        self._metrics = metrics
        self._settings = settings

    async def run_once(self) -> float | None:
        """Ask about what is due; returns the seconds until the next is."""
        async with self._transactions.begin() as tx:
            holds = await store.take_holds_to_ask(
                tx.connection,
                limit=LIMIT,
                first_seconds=self._settings.ask_again_seconds,
                most_seconds=self._settings.ask_again_most_seconds,
            )
            for hold in holds:
                emit_reserved(tx, hold, hold.traceparent)
            seconds = await store.get_seconds_to_ask(tx.connection)
        self._metrics.asked(StockReservedV1.TYPE, len(holds))
        return None if seconds is None else max(seconds, 0.0 if len(holds) == LIMIT else 0.05)


class TellCancellations:
    """Repeats ``EventCancelled`` until orders answers that it has begun."""

    def __init__(self, transactions: Transactions, metrics: Metrics, settings: InventorySettings) -> None:
        self._transactions = transactions
        self._metrics = metrics
        self._settings = settings

    async def run_once(self) -> float | None:
        """Tell what is due; returns the seconds until the next is."""
        async with self._transactions.begin() as tx:
            cancellations = await store.take_cancellations_to_tell(
                tx.connection,
                first_seconds=self._settings.ask_again_seconds,
                most_seconds=self._settings.ask_again_most_seconds,
            )
            for one in cancellations:
                tx.emit(one)
            seconds = await store.get_seconds_to_tell(tx.connection)
        self._metrics.asked(EventCancelledV1.TYPE, len(cancellations))
        return None if seconds is None else max(seconds, 0.05)
