"""The reaper itself: wakes at the next deadline and at least on its tick, and says whose time is over."""

from collections.abc import Callable
from datetime import datetime

from services.reaper import store
from services.reaper.settings import ReaperSettings
from shared.contracts.reaper import DeadlinePassedV1
from shared.messaging.transaction import Transactions
from shared.runtime.metrics import Metrics

#: No look at the table more often than this, however dense the deadlines are.
SHORTEST_PAUSE_SECONDS = 0.05
#: Rows taken away by one statement of the upkeep.
FORGET_LIMIT = 5_000


class Reaper:
    """Says ``DeadlinePassed``; it decides nothing, and repeats itself until it hears the order's end."""

    def __init__(self, transactions: Transactions, metrics: Metrics, settings: ReaperSettings) -> None:
        self._transactions = transactions
        self._metrics = metrics
        self._settings = settings
        self._next: datetime | None = None
        #: Runs ``run_once`` soon; wired to the loop.
        self.wake: Callable[[], None] = lambda: None

    def notice(self, expires_at: datetime) -> None:
        """A deadline was added: only one that comes before all others is worth waking for."""
        if self._next is None or expires_at < self._next:
            self.wake()

    async def run_once(self) -> float | None:
        """Tell one claim of passed deadlines; returns the seconds until the next is due, 0 when more wait."""
        async with self._transactions.begin() as tx:
            due = await store.take_due_deadlines(
                tx.connection,
                limit=self._settings.claim_limit,
                first_seconds=self._settings.ask_again_seconds,
                most_seconds=self._settings.ask_again_most_seconds,
            )
            for deadline in due:
                tx.emit(
                    DeadlinePassedV1(order_id=deadline.order_id, expires_at=deadline.expires_at),
                    traceparent=deadline.traceparent,
                )
            seconds = None
            self._next = None
            if len(due) < self._settings.claim_limit:
                self._next, seconds = await store.get_next_deadline(tx.connection)
        self._metrics.asked(DeadlinePassedV1.TYPE, len(due))
        if len(due) == self._settings.claim_limit:
            return 0
        # An overdue deadline that we did not get is a rival's, which is telling it just now.
        return None if seconds is None else max(seconds, SHORTEST_PAUSE_SECONDS)

    async def forget(self) -> float | None:
        """Take away orders that ended longer ago than the inbox remembers."""
        async with self._transactions.begin() as tx:
            gone = await store.delete_ended_deadlines(
                tx.connection, retention_seconds=self._settings.inbox_retention_seconds, limit=FORGET_LIMIT
            )
        return 0 if gone == FORGET_LIMIT else None
