"""The one place where money becomes a fact: for webhook, redirect, deadline and sweep alike."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

import structlog

from services.payments import store, store_money
from services.payments.domain import (
    Answer,
    Attempt,
    AttemptStatus,
    Charge,
    ChargeVerdict,
    Facts,
    NoAnswer,
    Payment,
    decide_charge,
)
from services.payments.domain_looks import (
    VerifyPlan,
    decide_attempt_status,
    decide_closing,
    decide_next_look,
    is_denial,
)
from services.payments.settings import PaymentsSettings
from services.payments.store_money import RefundWanted
from shared.contracts.payments import PaymentAbandonedV1, PaymentConfirmedV1
from shared.messaging.transaction import Transaction
from shared.runtime.ids import new_id

_log = structlog.get_logger()

_ATTEMPT_STATUS: dict[ChargeVerdict, AttemptStatus] = {
    "confirmed": "paid",
    "mismatch": "mismatched",
    "reversed": "reversed",
}


@dataclass(frozen=True, slots=True)
class Wakes:
    """The loops that what is decided here gives work to."""

    refunds: Callable[[], None]
    asking: Callable[[], None]
    verifying: Callable[[], None]
    sweeping: Callable[[], None]
    disputes: Callable[[], None]
    #: News of this order for requests that wait in this process.
    news: Callable[[UUID], None]


def confirmation_of(charge: Charge) -> PaymentConfirmedV1:
    """What orders is told of a charge."""
    return PaymentConfirmedV1(
        order_id=charge.order_id,
        charge_id=charge.charge_id,
        reference=charge.reference,
        amount_kobo=charge.amount_kobo,
        currency=charge.currency,
        paid_at=charge.paid_at,
        surcharge_kobo=charge.surcharge_kobo,
    )


class Finalisation:
    """Enters what Paystack says about transactions."""

    def __init__(self, settings: PaymentsSettings, wakes: Wakes) -> None:
        self._settings = settings
        self._wakes = wakes
        #: When attempts are looked up again.
        self.plan = VerifyPlan(
            open_seconds=settings.verify_open_seconds,
            closing_seconds=settings.verify_closing_seconds,
            closing_most_seconds=settings.verify_closing_most_seconds,
            late_seconds=settings.verify_late_seconds,
        )

    async def finalise(self, tx: Transaction, facts: Facts, *, source: Literal["webhook", "lookup"]) -> ChargeVerdict:
        """Enter a transaction whose money came (and may have gone back). Any number of times has the effect of one.

        Whatever the order's state: late money and a second charge are confirmed too, and orders answers what becomes
        of them. A charge that is known stays as it is: ``reversed`` un-pays nothing.
        """
        assert facts.is_paid or facts.went_back, "only money is finalised"
        attempt = await store.get_attempt(tx.connection, reference=facts.reference)
        payment = await self._lock(tx, attempt)
        judgement = decide_charge(
            facts,
            attempt,
            prefix=self._settings.reference_prefix,
            domain=self._settings.domain,
            customer_bears_fees=self._settings.customer_bears_fees,
        )
        is_confirmed = judgement.verdict == "confirmed"
        is_answered = is_confirmed and payment is not None and payment.ticketed_charge_id == facts.charge_id
        is_new = await store_money.insert_charge(
            tx.connection,
            facts=facts,
            order_id=None if attempt is None else attempt.order_id,
            judgement=judgement,
            source=source,
            paid_at=facts.paid_at or await tx.read_now(),
            ask_after_seconds=self._settings.ask_again_seconds if is_confirmed and not is_answered else None,
            answered="paid" if is_answered else None,
            traceparent=None if payment is None else payment.traceparent,
        )
        if not is_new:
            if facts.went_back:
                # Said aloud and nothing more: tickets stand until somebody revokes them, and the money that went back
                # by another hand is found in Paystack's list of refunds and disputes.
                _log.warning("a known charge goes back", charge_id=facts.charge_id, status=facts.status)
            return judgement.verdict
        _log.info(
            "a charge came", charge_id=facts.charge_id, reference=facts.reference, verdict=judgement.verdict,
            why=judgement.why, source=source,
        )  # fmt: skip
        if attempt is not None and payment is not None:
            await store.mark_attempt_settled(
                tx.connection, reference=attempt.reference, status=_ATTEMPT_STATUS[judgement.verdict]
            )
            await self._follow_up(tx, facts, payment, judgement.verdict, judgement.why)
        return judgement.verdict

    async def _lock(self, tx: Transaction, attempt: Attempt | None) -> Payment | None:
        if attempt is None:
            return None
        return (await store.lock_payments(tx.connection, order_ids=[attempt.order_id]))[attempt.order_id]

    async def _follow_up(
        self, tx: Transaction, facts: Facts, payment: Payment, verdict: ChargeVerdict, why: str | None
    ) -> None:
        tx.after_commit(lambda: self._wakes.news(payment.order_id))
        # A refund may have been asked for before the charge was entered (a restored backup): it can go on now.
        tx.after_commit(self._wakes.refunds)
        if verdict == "confirmed":
            (charge,) = [
                one
                for one in await store_money.list_confirmed_charges(tx.connection, order_ids=[payment.order_id])
                if one.charge_id == facts.charge_id
            ]
            tx.emit(confirmation_of(charge), traceparent=payment.traceparent)
            tx.after_commit(self._wakes.asking)
        if verdict == "mismatch" and facts.amount_kobo > 0:
            await store_money.insert_refunds(
                tx.connection, wanted=[_mismatch_refund(facts, payment, why or "mismatch")]
            )
        if verdict != "confirmed":
            await self._conclude(tx, payment)

    async def record(self, tx: Transaction, reference: str, answer: Answer, *, asked_at: datetime) -> None:
        """Enter Paystack's answer about one of our references, whatever it is.

        ``asked_at`` is this database's time before the call: what was asked before the payment closed denies nothing,
        since the page was still there for the buyer.
        """
        if isinstance(answer, Facts) and (answer.is_paid or answer.went_back):
            await self.finalise(tx, answer, source="lookup")
        attempt = await store.get_attempt(tx.connection, reference=reference)
        payment = await self._lock(tx, attempt)
        assert attempt is not None, "only references of ours are looked up"
        assert payment is not None
        now = await tx.read_now()
        # Read again under the lock: a rival may have settled it since.
        attempt = await store.get_attempt(tx.connection, reference=reference)
        assert attempt is not None
        status = decide_attempt_status(attempt, answer, now=now)
        released = None
        if status == "failed" and self._settings.on_failure == "release":
            released = await self._release(tx, payment)
            payment = released or payment
        is_in_time = released is not None or payment.closed_at is None or asked_at >= payment.closed_at
        attempt = await store.mark_attempt_verified(
            tx.connection,
            reference=reference,
            status=status,
            provider_status=answer.status if isinstance(answer, Facts) else None,
            is_denied=is_denial(answer) and is_in_time,
            was_answered=not isinstance(answer, NoAnswer) or payment.is_closing,
        )
        if await self._conclude(tx, payment) is not None:
            return
        seconds = decide_next_look(payment, attempt, self.plan, now=now)
        await store.schedule_attempt(tx.connection, reference=reference, seconds=seconds)

    async def _release(self, tx: Transaction, payment: Payment) -> Payment | None:
        closed = await store.close_declined(
            tx.connection, order_id=payment.order_id, grace_seconds=self._settings.grace_seconds
        )
        if closed is not None:
            await store.schedule_attempts(tx.connection, order_ids=[payment.order_id], seconds=0.0, forget_denials=True)
            tx.after_commit(self._wakes.verifying)
            tx.after_commit(lambda: self._wakes.news(payment.order_id))
        return closed

    async def _conclude(self, tx: Transaction, payment: Payment) -> Payment | None:
        """Abandon a closing payment when the last attempt was denied, or when the grace is over."""
        if not payment.is_closing:
            return None
        assert payment.grace_ends_at is not None
        attempts = await store.list_attempts(tx.connection, order_ids=[payment.order_id])
        charges = await store_money.list_confirmed_charges(tx.connection, order_ids=[payment.order_id])
        now = await tx.read_now()
        if decide_closing(attempts, has_charge=bool(charges), grace_ends_at=payment.grace_ends_at, now=now) is None:
            return None
        abandoned = await store.mark_abandoned(tx.connection, order_id=payment.order_id)
        if abandoned is None:
            return None
        tx.emit(abandonment_of(abandoned, paying_started=True), traceparent=abandoned.traceparent)
        await self.watch_for_late_money(tx, [payment.order_id])
        return abandoned

    async def watch_for_late_money(self, tx: Transaction, order_ids: list[UUID]) -> None:
        """These orders take no money any more: look a few more times whether some comes all the same."""
        first = self._settings.verify_late_seconds[0]
        await store.schedule_attempts(tx.connection, order_ids=order_ids, seconds=first, forget_denials=False)
        tx.after_commit(self._wakes.verifying)


def abandonment_of(payment: Payment, *, paying_started: bool) -> PaymentAbandonedV1:
    """What orders is told when nobody paid."""
    return PaymentAbandonedV1(
        order_id=payment.order_id,
        expires_at=payment.expires_at,
        paying_started=paying_started,
        why=payment.closing_why or "deadline",
    )


def _mismatch_refund(facts: Facts, payment: Payment, why: str) -> RefundWanted:
    return RefundWanted(
        id=new_id(),
        order_id=payment.order_id,
        charge_id=facts.charge_id,
        purpose="mismatch",
        reference=facts.reference,
        amount_kobo=facts.amount_kobo,
        currency=facts.currency,
        email=payment.email,
        why=f"The payment was not what was asked for: {why}"[:500],
        traceparent=payment.traceparent,
    )
