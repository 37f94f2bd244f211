"""What payments does with each message it takes in. All rows are locked, and exist, before any of these runs."""

from collections.abc import Iterable, Sequence
from typing import TypeVar
from uuid import UUID

from services.payments import store, store_disputes, store_money
from services.payments.domain import Abandon, Ask, Attempt, Charge, Confirm, decide_deadline
from services.payments.domain_refunds import ONLY_ONE, Refund
from services.payments.finalise import Finalisation, Wakes, abandonment_of, confirmation_of
from services.payments.refund_messages import answer_of
from services.payments.settings import PaymentsSettings
from services.payments.store_money import RefundWanted
from shared.contracts.inventory import StockReservedV1
from shared.contracts.orders import DisputeNotedV1, OrderCancelledV1, OrderExpiredV1, OrderPaidV1, RefundRequestedV1
from shared.contracts.reaper import DeadlinePassedV1
from shared.contracts.ticketing import TicketsIssuedV1
from shared.messaging.cloudevents import Event
from shared.messaging.handling import Handlers
from shared.messaging.transaction import Transaction
from shared.runtime.ids import new_id

T = TypeVar("T", Attempt, Charge)


class PaymentHandlers:
    """The handlers, with what they need of their service."""

    def __init__(self, settings: PaymentsSettings, finalisation: Finalisation, wakes: Wakes) -> None:
        self._settings = settings
        self._finalisation = finalisation
        self._wakes = wakes

    def all(self) -> Handlers:
        """Every type payments takes in: what begins an order before what ends it."""
        return Handlers(
            service="payments",
            by_type={
                StockReservedV1: self.on_stock_reserved,
                OrderPaidV1: self.on_order_paid,
                OrderExpiredV1: self.on_order_expired,
                OrderCancelledV1: self.on_order_cancelled,
                DeadlinePassedV1: self.on_deadline_passed,
                TicketsIssuedV1: self.on_tickets_issued,
                RefundRequestedV1: self.on_refund_requested,
                DisputeNotedV1: self.on_dispute_noted,
            },
            lock_rows=lock_rows,
        )

    def _tell(self, order_ids: Iterable[UUID]) -> None:
        for order_id in order_ids:
            self._wakes.news(order_id)

    async def on_stock_reserved(self, tx: Transaction, events: Sequence[Event[StockReservedV1]]) -> None:
        """The order can be paid: write what it costs. A tombstone stays closed."""
        fresh = {event.data.order_id: event for event in reversed(events)}
        await store.fill_payments(tx.connection, reserved=list(fresh.values()))
        tx.after_commit(lambda: self._tell(fresh))

    async def on_order_paid(self, tx: Transaction, events: Sequence[Event[OrderPaidV1]]) -> None:
        """The order is over. The charge it names goes on asking until tickets name it too."""
        fresh = {event.data.order_id: event.data for event in reversed(events)}
        await self._end(
            tx,
            [(one.order_id, "paid", one.reference, one.email, one.expires_at, one.charge_id) for one in fresh.values()],
        )

    async def on_order_expired(self, tx: Transaction, events: Sequence[Event[OrderExpiredV1]]) -> None:
        """The order is over; money may still come."""
        fresh = {event.data.order_id: event.data for event in reversed(events)}
        await self._end(
            tx,
            [(one.order_id, "expired", one.reference, one.email, one.expires_at, None) for one in fresh.values()],
        )

    async def on_order_cancelled(self, tx: Transaction, events: Sequence[Event[OrderCancelledV1]]) -> None:
        """The order is over; money may still come."""
        fresh = {event.data.order_id: event.data for event in reversed(events)}
        await self._end(
            tx,
            [(one.order_id, "cancelled", one.reference, one.email, one.expires_at, None) for one in fresh.values()],
        )

    async def _end(self, tx: Transaction, endings: list[store.EndingRow]) -> None:
        ended = await store.end_payments(tx.connection, endings=endings)
        if ended:
            await self._finalisation.watch_for_late_money(tx, ended)
            tx.after_commit(lambda: self._tell(ended))

    async def on_deadline_passed(self, tx: Transaction, events: Sequence[Event[DeadlinePassedV1]]) -> None:
        """Answer whether anybody paid: at once where that is known, else after asking Paystack."""
        fresh = {event.data.order_id: event for event in reversed(events)}
        payments = await store.list_payments(tx.connection, order_ids=list(fresh))
        attempts = _by_order(await store.list_attempts(tx.connection, order_ids=list(fresh)))
        charges = _by_order(await store_money.list_confirmed_charges(tx.connection, order_ids=list(fresh)))
        passed: list[tuple[UUID, Event[DeadlinePassedV1], bool, bool]] = []
        for order_id, event in fresh.items():
            payment, tried = payments[order_id], attempts.get(order_id, [])
            answer = decide_deadline(
                payment, tried, charges.get(order_id, []), expires_at=event.data.expires_at, now=tx.now
            )
            if isinstance(answer, Confirm):
                tx.emit(confirmation_of(answer.charge), traceparent=event.traceparent)
            if isinstance(answer, Abandon):
                abandonment = abandonment_of(payment, paying_started=bool(tried))
                tx.emit(
                    abandonment.model_copy(update={"expires_at": payment.expires_at or event.data.expires_at}),
                    traceparent=event.traceparent,
                )
            if isinstance(answer, Abandon | Ask | Confirm):
                is_new_question = isinstance(answer, Ask) and answer.is_new
                passed.append((order_id, event, isinstance(answer, Abandon), is_new_question))
        await self._close(tx, passed)

    async def _close(self, tx: Transaction, passed: list[tuple[UUID, Event[DeadlinePassedV1], bool, bool]]) -> None:
        if not passed:
            return
        await store.mark_deadlines(
            tx.connection,
            passed=[
                (order_id, event.data.expires_at, abandoned, asking) for order_id, event, abandoned, asking in passed
            ],
            grace_seconds=self._settings.grace_seconds,
        )
        asking = [order_id for order_id, _, _, is_asking in passed if is_asking]
        if asking:
            await store.schedule_attempts(tx.connection, order_ids=asking, seconds=0.0, forget_denials=True)
        tx.after_commit(self._wakes.verifying)
        tx.after_commit(lambda: self._tell(order_id for order_id, *_ in passed))

    async def on_tickets_issued(self, tx: Transaction, events: Sequence[Event[TicketsIssuedV1]]) -> None:
        """The charge the tickets name is covered, and asks no more."""
        charges = {event.data.order_id: event.data.charge_id for event in events}
        await store.mark_ticketed(tx.connection, charges=charges)
        answers = [(charge_id, order_id) for order_id, charge_id in charges.items() if charge_id is not None]
        await store_money.answer_charges(tx.connection, answers=answers, answer="paid")

    async def on_refund_requested(self, tx: Transaction, events: Sequence[Event[RefundRequestedV1]]) -> None:
        """Store that money is to go back, once; a repeat of the request gets the present state as its answer again."""
        answers = [(event.data.charge_id, event.data.order_id) for event in events]
        await store_money.answer_charges(tx.connection, answers=answers, answer="refund")
        unique: dict[tuple[str, str, UUID], Event[RefundRequestedV1]] = {}
        for event in events:
            # Whoever asked first has the first call on the charge.
            unique.setdefault(_key_of(event.data), event)
        fresh = await store_money.insert_refunds(tx.connection, wanted=[_wanted(event) for event in unique.values()])
        refunds = await store_money.list_refunds(tx.connection, charge_ids=[charge_id for charge_id, *_ in unique])
        for refund in refunds:
            key = (refund.charge_id, refund.purpose, refund.request_id)
            if key in unique and (refund.id not in fresh or refund.status == "failed"):
                _repeat_answer(tx, refund)
        tx.after_commit(self._wakes.refunds)

    async def on_dispute_noted(self, tx: Transaction, events: Sequence[Event[DisputeNotedV1]]) -> None:
        """Orders knows of these disputes, and says what has become of their tickets."""
        newest = {(event.data.dispute_id, event.data.status): event.data for event in events}
        await store_disputes.mark_disputes_noted(tx.connection, noted=list(newest.values()))


async def lock_rows(tx: Transaction, events: Sequence[Event[StockReservedV1]]) -> None:
    """Make and lock the payments a batch speaks of, in the order of their ids."""
    order_ids = sorted({event.data.order_id for event in events})
    await store.insert_payments(tx.connection, order_ids=order_ids)
    await store.lock_payments(tx.connection, order_ids=order_ids)


def _key_of(one: RefundRequestedV1) -> tuple[str, str, UUID]:
    """What makes requests ask for the same refund."""
    return one.charge_id, one.purpose, one.refund_id or ONLY_ONE


def _wanted(event: Event[RefundRequestedV1]) -> RefundWanted:
    one = event.data
    return RefundWanted(
        id=new_id(),
        order_id=one.order_id,
        charge_id=one.charge_id,
        purpose=one.purpose,
        reference=one.reference,
        amount_kobo=one.amount_kobo,
        currency=one.currency,
        email=one.email,
        why=one.why,
        traceparent=event.traceparent,
        request_id=one.refund_id or ONLY_ONE,
        numbers=one.numbers,
    )


def _repeat_answer(tx: Transaction, refund: Refund) -> None:
    answer = answer_of(refund)
    if answer is not None:
        tx.emit(answer, traceparent=refund.traceparent)


def _by_order(rows: Sequence[T]) -> dict[UUID, list[T]]:
    grouped: dict[UUID, list[T]] = {}
    for row in rows:
        grouped.setdefault(row.order_id, []).append(row)
    return grouped
