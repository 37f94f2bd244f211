"""Gives money back: the intent is stored first, the call is made once, and what became of it is followed to its end.

Paystack has no idempotency key for refunds. So a call whose outcome is unknown is never repeated before the charge's
refunds have been looked up, and a process that dies in a call leaves a row that says the same.
"""

import asyncio
from dataclasses import dataclass
from uuid import uuid4

import structlog

from services.payments import refund_messages, store, store_money
from services.payments.budget import Budgets
from services.payments.domain_looks import backoff
from services.payments.domain_refunds import (
    Adopt,
    GoneElsewhere,
    ProviderRefund,
    Refund,
    RefundStatus,
    TooMuch,
    decide_lookup,
    refund_status_of,
)
from services.payments.exceptions import NotSent, OverBudget, RateLimited, Refused, Unknown
from services.payments.outside import OutsideRefunds
from services.payments.paystack import Paystack
from services.payments.settings import PaymentsSettings
from services.payments.store_money import ClaimedRefund
from shared.messaging.transaction import Transaction, Transactions

_log = structlog.get_logger()

#: Refunds one run takes, and how many are worked on at the same time.
LIMIT = 32
CONCURRENCY = 4
#: Seconds by which a lease outlives the two calls of one step.
LEASE_MARGIN_SECONDS = 30.0
#: Tries of a call that Paystack refuses for a reason we do not know, before a person is asked.
MAX_REFUSALS = 4
#: Refusals that say how much has gone back already, so that the charge's refunds tell what to do.
_GONE_CODES = frozenset({"transaction_reversed"})
_GONE_TEXTS = ("fully reversed", "cannot exceed original")
#: Refusals that no repeat changes: Paystack takes no refund as small as this, and does not publish how small.
_FINAL_TEXTS = ("minimum amount", "cannot refund less")
#: Refusals that pass: no balance yet, or a key that is being changed.
_PASSING_CODES = frozenset({"insufficient_balance", "invalid_Key"})


@dataclass(frozen=True, slots=True)
class Step:
    """What one step found out: the refund's new status, and seconds until the next step."""

    status: RefundStatus
    next_seconds: float = 0.0
    provider: ProviderRefund | None = None
    failure: str | None = None


class Refunding:
    """Moves refunds on."""

    def __init__(
        self,
        transactions: Transactions,
        paystack: Paystack,
        budgets: Budgets,
        outside: OutsideRefunds,
        settings: PaymentsSettings,
    ) -> None:
        self._transactions = transactions
        self._paystack = paystack
        self._budgets = budgets
        self._outside = outside
        self._settings = settings
        self._lease_seconds = 2 * settings.paystack_timeout_seconds + LEASE_MARGIN_SECONDS
        self._claimant = uuid4()

    async def run_once(self) -> float | None:
        """Take one step with every refund that is due; returns the seconds until the next is."""
        async with self._transactions.begin() as tx:
            claimed = await store_money.claim_refunds(
                tx.connection, limit=LIMIT, claimant=self._claimant, lease_seconds=self._lease_seconds
            )
        gate = asyncio.Semaphore(CONCURRENCY)

        async def move(one: ClaimedRefund) -> None:
            async with gate:
                await self._move(one)

        for result in await asyncio.gather(*(move(one) for one in claimed), return_exceptions=True):
            # Its lease runs out and it comes again; the others go on.
            if isinstance(result, BaseException):
                _log.warning("a refund waits for the end of its lease", error=repr(result)[:300])
        async with self._transactions.begin() as tx:
            seconds = await store.get_due(tx.connection, what="refunds")
        return None if seconds is None else max(seconds, 0.0)

    async def _move(self, one: ClaimedRefund) -> None:
        try:
            step = await self._step(one)
        except RateLimited as error:
            if not isinstance(error, OverBudget):
                await self._budgets.pause("other", error.reset_seconds)
            # Nothing was done. What was only requested is requested again; anything else stays what it was.
            step = Step(one.was, error.reset_seconds)
        except (NotSent, Refused, Unknown) as error:
            _log.warning("a refund waits", refund_id=str(one.refund.id), error=str(error))
            step = Step(one.was, self._pause(one.refund))
        await self._record(one, step)

    async def _step(self, one: ClaimedRefund) -> Step:
        if one.was == "requested":
            return await self._send(one)
        if one.was in {"sending", "unknown"}:
            return await self._look_up(one)
        assert one.refund.provider_refund_id is not None
        return self._follow(one.refund, await self._paystack.get_refund(one.refund.provider_refund_id))

    async def _send(self, one: ClaimedRefund) -> Step:
        refund = one.refund
        try:
            made = await self._paystack.refund(
                charge_id=refund.charge_id,
                amount_kobo=refund.amount_kobo,
                currency=refund.currency,
                note=refund.note,
            )
        except Unknown as error:
            _log.warning("it is unknown whether a refund was made", refund_id=str(refund.id), error=str(error))
            return Step("unknown", self._settings.refund_lookup_seconds)
        except Refused as error:
            return await self._judge_refusal(one, error)
        return self._follow(refund, made)

    async def _judge_refusal(self, one: ClaimedRefund, error: Refused) -> Step:
        text = error.message.lower()
        if error.code in _GONE_CODES or any(gone in text for gone in _GONE_TEXTS):
            step = await self._look_up(one)
            if step.status == "requested":
                # Reversed without a refund: a dispute took it.
                step = Step("processed", failure=f"the money had gone back by another hand: {error.message}")
            return step
        if error.code in _PASSING_CODES or "insufficient balance" in text or error.http_status == 401:
            _log.error("a refund waits", refund_id=str(one.refund.id), error=str(error))
            return Step("requested", self._pause(one.refund), failure=error.message)
        if one.refund.tries + 1 < MAX_REFUSALS and not any(final in text for final in _FINAL_TEXTS):
            return Step("requested", self._pause(one.refund), failure=error.message)
        return Step("failed", failure=error.message)

    async def _look_up(self, one: ClaimedRefund) -> Step:
        refund = one.refund
        found = await self._paystack.list_refunds(refund.charge_id)
        async with self._transactions.begin() as tx:
            taken = await store_money.list_taken_refund_ids(
                tx.connection, charge_id=refund.charge_id, refund_id=refund.id
            )
        decision = decide_lookup(
            found, amount_kobo=refund.amount_kobo, charge_kobo=one.charge_kobo, taken=taken, note=refund.note
        )
        if isinstance(decision, Adopt):
            return self._follow(refund, decision.refund)
        await self._outside.enter([(one, refund.charge_id, refund.currency) for one in found])
        if isinstance(decision, GoneElsewhere):
            return Step("processed", failure="the money had gone back by another hand")
        if isinstance(decision, TooMuch):
            return Step("failed", failure="part of the charge went back by another hand")
        return Step("requested")

    def _follow(self, refund: Refund, provider: ProviderRefund) -> Step:
        status = refund_status_of(provider.status)
        failure = "Paystack could not give the money back" if status == "failed" else None
        return Step(status, self._pause(refund), provider, failure)

    def _pause(self, refund: Refund) -> float:
        return backoff(
            refund.tries,
            first_seconds=self._settings.refund_poll_seconds,
            most_seconds=self._settings.refund_poll_most_seconds,
        )

    async def _record(self, one: ClaimedRefund, step: Step) -> None:
        async with self._transactions.begin() as tx:
            refund = await store_money.mark_refund(
                tx.connection,
                refund_id=one.refund.id,
                claimant=self._claimant,
                status=step.status,
                provider_refund_id=None if step.provider is None else step.provider.id,
                provider_status=None if step.provider is None else step.provider.status,
                failure=step.failure,
                next_seconds=step.next_seconds,
                tries=one.refund.tries + 1 if step.status == one.was else 0,
                lease_seconds=self._lease_seconds,
            )
            if refund is not None:
                _tell(tx, refund, was_started=one.refund.started_at is not None)


def _tell(tx: Transaction, refund: Refund, *, was_started: bool) -> None:
    if refund.started_at is not None and not was_started:
        tx.emit(refund_messages.started(refund), traceparent=refund.traceparent)
    if refund.status == "processed":
        tx.emit(refund_messages.refunded(refund), traceparent=refund.traceparent)
    if refund.status == "failed":
        tx.emit(refund_messages.failed(refund), traceparent=refund.traceparent)
