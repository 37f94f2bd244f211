"""Periodic work besides verifying and refunding: asking again, interrupted webhooks, open cases."""

from prometheus_client import Gauge

from services.payments import store, store_money
from services.payments.finalise import confirmation_of
from services.payments.settings import PaymentsSettings
from services.payments.webhooks import Webhooks
from shared.contracts.payments import PaymentConfirmedV1
from shared.messaging.transaction import Transactions
from shared.runtime.metrics import Metrics

#: Rows one run takes.
LIMIT = 500
#: Receipts one run takes; each is a transaction of its own.
RECEIPTS_LIMIT = 50


class AskAgain:
    """Repeats PaymentConfirmed until TicketsIssued or RefundRequested names the charge.

    Not until OrderPaid: were the tickets' message lost after it, nobody would ask, and the case would stay open.
    """

    def __init__(self, transactions: Transactions, metrics: Metrics, settings: PaymentsSettings) -> None:
        self._transactions = transactions
        self._metrics = metrics
        self._first_seconds = settings.ask_again_seconds
        self._most_seconds = settings.ask_again_most_seconds

    async def run_once(self) -> float | None:
        """Repeat what is due; returns the seconds until the next is."""
        async with self._transactions.begin() as tx:
            charges = await store_money.claim_unanswered_charges(
                tx.connection, limit=LIMIT, first_seconds=self._first_seconds, most_seconds=self._most_seconds
            )
            for charge in charges:
                tx.emit(confirmation_of(charge), traceparent=charge.traceparent)
            seconds = await store.get_due(tx.connection, what="charges")
        if charges:
            self._metrics.asked(PaymentConfirmedV1.TYPE, len(charges))
        return None if seconds is None else max(seconds, 0.0)


class TakeUpReceipts:
    """Handles webhooks that were stored and then interrupted: the process died, or an engine went away."""

    def __init__(self, transactions: Transactions, webhooks: Webhooks) -> None:
        self._transactions = transactions
        self._webhooks = webhooks

    async def run_once(self) -> float | None:
        """Handle what is due; returns the seconds until the next is."""
        async with self._transactions.begin() as tx:
            due = await store_money.claim_receipts(tx.connection, limit=RECEIPTS_LIMIT)
        for receipt_id in due:
            await self._webhooks.handle_safely(receipt_id)
        async with self._transactions.begin() as tx:
            seconds = await store.get_due(tx.connection, what="receipts")
        return None if seconds is None else max(seconds, 0.0)


class CountCases:
    """Shows the open cases as metrics: how many, how much, how old."""

    def __init__(self, transactions: Transactions, metrics: Metrics) -> None:
        self._transactions = transactions
        labels = ["kind", "currency"]
        self._cases = Gauge("payments_open_cases", "Open cases", labels, registry=metrics.registry)
        self._kobo = Gauge("payments_open_cases_kobo", "Money in open cases", labels, registry=metrics.registry)
        self._oldest = Gauge(
            "payments_open_cases_oldest_seconds", "Age of the oldest open case", labels, registry=metrics.registry
        )

    async def run_once(self) -> float | None:
        """Count."""
        async with self._transactions.begin() as tx:
            rows = await store_money.count_cases(tx.connection)
        for gauge, column in (
            (self._cases, "cases"),
            (self._kobo, "amount_kobo"),
            (self._oldest, "oldest_seconds"),
        ):
            gauge.clear()
            for row in rows:
                gauge.labels(row["kind"], row["currency"]).set(row[column])
        return None
