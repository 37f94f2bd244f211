"""Refunds that were made by another hand, in Paystack's dashboard: entered once, whoever comes across them."""

from collections.abc import Sequence

import structlog

from services.payments import store_sweep
from services.payments.domain_refunds import ProviderRefund
from services.payments.domain_sweep import id_in_note
from services.payments.settings import PaymentsSettings
from shared.messaging.transaction import Transactions

_log = structlog.get_logger()


class OutsideRefunds:
    """Enters them. What they cover is booked by the database."""

    def __init__(self, transactions: Transactions, settings: PaymentsSettings) -> None:
        self._transactions = transactions
        self._look_seconds = settings.refund_poll_seconds

    async def enter(self, found: Sequence[tuple[ProviderRefund, str, str]]) -> None:
        """Enter those of (refund, charge id, currency) that are not ours. Money of others is left out."""
        if not found:
            return
        async with self._transactions.begin() as tx:
            own = await store_sweep.list_own_refunds(
                tx.connection, listed=[(refund, id_in_note(refund.note)) for refund, _, _ in found]
            )
        for refund, charge_id, currency in found:
            if refund.id in own:
                continue
            # A transaction each: two charges are never locked at once.
            async with self._transactions.begin() as tx:
                is_news = await store_sweep.put_outside_refund(
                    tx.connection,
                    refund=refund,
                    charge_id=charge_id,
                    currency=currency,
                    look_seconds=self._look_seconds,
                )
                if is_news:
                    await store_sweep.close_findings(tx.connection, kind="reversed_elsewhere", charge_ids=[charge_id])
            if is_news:
                _log.warning("a refund by another hand", refund=refund.id, charge_id=charge_id, status=refund.status)
