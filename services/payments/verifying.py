"""Asks Paystack about attempts and enters the answers: on a redirect, on a click, and by a loop for what is due."""

import asyncio

import structlog

from services.payments import store
from services.payments.budget import Budgets
from services.payments.domain import Answer, NoAnswer
from services.payments.exceptions import OverBudget, RateLimited
from services.payments.finalise import Finalisation
from services.payments.paystack import Paystack
from services.payments.settings import PaymentsSettings
from shared.messaging.transaction import Transactions

_log = structlog.get_logger()

#: Attempts one run looks up.
LIMIT = 64
#: Calls at the same time: enough for 50 answers a second, few enough to leave connections to the webhooks.
CONCURRENCY = 6
#: Seconds by which a lease outlives the call's own time-out.
LEASE_MARGIN_SECONDS = 20.0


class Verifying:
    """Looks attempts up."""

    def __init__(
        self,
        transactions: Transactions,
        paystack: Paystack,
        budgets: Budgets,
        finalisation: Finalisation,
        settings: PaymentsSettings,
    ) -> None:
        self._transactions = transactions
        self._paystack = paystack
        self._budgets = budgets
        self._finalisation = finalisation
        self._lease_seconds = settings.paystack_timeout_seconds + LEASE_MARGIN_SECONDS

    async def look(self, reference: str, *, timeout_seconds: float | None = None, patient: bool = False) -> Answer:
        """Ask about one reference of ours and enter the answer. Never raises for what Paystack does or does not do."""
        async with self._transactions.begin() as tx:
            asked_at = await tx.read_now()
        answer = await self._ask(reference, timeout_seconds, patient)
        async with self._transactions.begin() as tx:
            await self._finalisation.record(tx, reference, answer, asked_at=asked_at)
        return answer

    async def _ask(self, reference: str, timeout_seconds: float | None, patient: bool) -> Answer:
        try:
            async with asyncio.timeout(timeout_seconds):
                return await self._paystack.verify(reference, patient=patient)
        except OverBudget:
            return NoAnswer()
        except RateLimited as error:
            _log.warning("Paystack limits our verifications", seconds=error.reset_seconds)
            return NoAnswer()
        except TimeoutError:
            return NoAnswer()

    async def run_once(self) -> float | None:
        """Look up what is due; returns the seconds until the next is."""
        async with self._transactions.begin() as tx:
            due = await store.claim_attempts(tx.connection, limit=LIMIT, lease_seconds=self._lease_seconds)
        if due:
            gate = asyncio.Semaphore(CONCURRENCY)

            async def look(reference: str) -> None:
                async with gate:
                    await self.look(reference, patient=True)

            for result in await asyncio.gather(*(look(one) for one in due), return_exceptions=True):
                # One that fails stays leased and comes again; the others' answers are entered all the same.
                if isinstance(result, BaseException):
                    _log.warning("an attempt could not be looked up", error=repr(result)[:300])
        await self._budgets.forget_old()
        async with self._transactions.begin() as tx:
            seconds = await store.get_due(tx.connection, what="attempts")
        return None if seconds is None else max(seconds, 0.0)
