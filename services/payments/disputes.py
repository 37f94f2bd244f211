"""Disputes: kept from webhook and sweep alike, told to orders until it answers."""

from collections.abc import Callable

import structlog

from services.payments import store, store_disputes
from services.payments.domain_disputes import Dispute, ProviderDispute, dispute_status_of
from services.payments.exceptions import PaystackError, RateLimited
from services.payments.paystack import Paystack
from services.payments.settings import PaymentsSettings
from shared.contracts.payments import DisputeChangedV1
from shared.messaging.transaction import Transaction, Transactions
from shared.runtime.metrics import Metrics

_log = structlog.get_logger()

#: Disputes one run tells of.
LIMIT = 500
#: Pages of Paystack's list one sweep reads at most; a page has a hundred.
MAX_PAGES = 50
#: Seconds from a process's start to its first reading of the list.
FIRST_SECONDS = 60.0


async def record_dispute(tx: Transaction, one: ProviderDispute) -> str:
    """Keep what Paystack says of a dispute; any number of times, and in any order, has the effect of once.

    Returns our status of it, or why it is none of ours.
    """
    attempt = await store.get_attempt(tx.connection, reference=one.reference)
    if attempt is not None:
        # The lock comes first, as everywhere: what is booked must not be overtaken by a refund.
        await store.lock_payments(tx.connection, order_ids=[attempt.order_id])
    status = dispute_status_of(one)
    order_id = None if attempt is None else attempt.order_id
    kept = await store_disputes.upsert_dispute(tx.connection, one=one, status=status, order_id=order_id)
    if status == "lost":
        await store_disputes.put_lost_dispute_of_charge(tx.connection, one=one)
    if kept is not None:
        _log.warning("a dispute", dispute_id=one.dispute_id, reference=one.reference, status=status)
    return f"dispute {status}" if attempt is not None else "dispute of none of ours"


class TellDisputes:
    """Tells orders of disputes until it says that it knows how they stand."""

    def __init__(self, transactions: Transactions, metrics: Metrics, settings: PaymentsSettings) -> None:
        self._transactions = transactions
        self._metrics = metrics
        self._settings = settings

    async def run_once(self) -> float | None:
        """Tell what is due; returns the seconds until the next is."""
        async with self._transactions.begin() as tx:
            disputes = await store_disputes.claim_disputes(
                tx.connection,
                limit=LIMIT,
                first_seconds=self._settings.ask_again_seconds,
                most_seconds=self._settings.ask_again_most_seconds,
            )
            for one in disputes:
                tx.emit(dispute_changed(one))
            seconds = await store.get_due(tx.connection, what="disputes")
        if disputes:
            self._metrics.asked(DisputeChangedV1.TYPE, len(disputes))
        return None if seconds is None else max(seconds, 0.0)


class SweepDisputes:
    """Reads Paystack's own list now and then: a dispute whose webhook was lost must be answered within hours."""

    def __init__(self, transactions: Transactions, paystack: Paystack, wake_telling: Callable[[], None]) -> None:
        self._transactions = transactions
        self._paystack = paystack
        self._wake_telling = wake_telling
        self._is_first = True

    async def run_once(self) -> float | None:
        """Read every page; what cannot be read now is read next time, from the start.

        Not at the very start of a process, when everything else wants to call too.
        """
        if self._is_first:
            self._is_first = False
            return FIRST_SECONDS
        try:
            for page in range(1, MAX_PAGES + 1):
                disputes = await self._paystack.list_all_disputes(page)
                if not disputes:
                    break
                for one in disputes:
                    # A transaction each, since each takes the lock of its order.
                    async with self._transactions.begin() as tx:
                        await record_dispute(tx, one)
                self._wake_telling()
        except RateLimited as error:
            return error.reset_seconds
        except PaystackError as error:
            _log.warning("disputes could not be listed", error=str(error))
        return None


def dispute_changed(one: Dispute) -> DisputeChangedV1:
    """What orders is told of a dispute."""
    assert one.order_id is not None, "only disputes of our orders are told"
    return DisputeChangedV1(
        order_id=one.order_id,
        dispute_id=one.dispute_id,
        charge_id=one.charge_id,
        amount_kobo=one.amount_kobo,
        currency=one.currency,
        status=one.status,
        category=one.category,
        due_at=one.due_at,
    )
