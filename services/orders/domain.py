"""What each message does to an order. Pure: the same order and message give the same decision."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any, Literal
from uuid import UUID

from services.orders.domain_messages import (
    block_requested,
    ending_of,
    order_refunded,
    refund_requested,
    revoke_requested,
    view,
)
from services.orders.domain_order import (
    ENDED,
    PAID,
    DisputeRecord,
    EarlyMessage,
    MailRecord,
    Order,
    RefundRecord,
    WantedRefund,
    amount_of,
    returned_lines,
    ticket_numbers,
)
from shared.contracts.base import (
    Message,
    OrderMessage,
    RefundPurpose,
)
from shared.contracts.gateway import CancelRequestedV1
from shared.contracts.inventory import StockRejectedV1, StockReservedV1, StockReturnedV1
from shared.contracts.mailer import MailFailedV1, MailSentV1
from shared.contracts.orders import DisputeNotedV1
from shared.contracts.payments import (
    DisputeChangedV1,
    PaymentAbandonedV1,
    PaymentConfirmedV1,
    PaymentRefundedV1,
    RefundFailedV1,
)
from shared.contracts.ticketing import TicketsBlockedV1, TicketsIssuedV1, TicketsRevokedV1


@dataclass(slots=True)
class Decision:
    """An order after a message, and what is to be given out."""

    order: Order
    messages: list[Message] = field(default_factory=list)


def decide(order: Order, message: OrderMessage, *, now: datetime) -> Decision:
    """What ``message`` does to ``order``. Total: a message that changes nothing gives the order back."""
    decision = Decision(order)
    _DECIDERS[type(message)](decision, message, now)
    _apply_early(decision, now)
    return decision


def _apply_early(decision: Decision, now: datetime) -> None:
    """Messages put aside are tried again after each change, until none of them does anything."""
    for _ in range(len(decision.order.details.early)):
        waiting = decision.order.details.early
        ready = next((one for one in waiting if _is_ready(decision.order, one.type)), None)
        if ready is None:
            return
        decision.order = decision.order.learn(early=tuple(one for one in waiting if one is not ready))
        model = _EARLY[ready.type]
        _DECIDERS[model](decision, model.model_validate(ready.data), now)


def _is_ready(order: Order, message_type: str) -> bool:
    if message_type == PaymentConfirmedV1.TYPE:
        return order.status != "pending" or order.total_kobo is not None
    return order.status != "pending"


def _put_aside(decision: Decision, message: OrderMessage) -> None:
    early = EarlyMessage(type=message.TYPE, data=message.model_dump(mode="json"))
    if early not in decision.order.details.early:
        decision.order = decision.order.learn(early=(*decision.order.details.early, early))


def _on_reserved(decision: Decision, message: StockReservedV1, now: datetime) -> None:
    order = decision.order
    if order.total_kobo is None and order.status != "rejected":
        # Kept also when the order has ended meanwhile: what it would have cost is the same in every order of arrival.
        decision.order = replace(
            order.learn(event=message.event, lines=message.lines),
            total_kobo=message.total_kobo,
            currency=message.currency,
        )
    if order.status in ENDED:
        _repeat_ending(decision)
    elif order.total_kobo is None and message.total_kobo == 0:
        _pay(decision, charge_id=None, reference=None, paid_at=now)


def _on_stock_rejected(decision: Decision, message: StockRejectedV1, _: datetime) -> None:
    order = decision.order
    if order.status in ENDED:
        _repeat_ending(decision)
    elif order.total_kobo is None:
        decision.order = replace(order.learn(reason=message.reason, tier_id=message.tier_id), status="rejected")
        _repeat_ending(decision)


def _on_confirmed(decision: Decision, message: PaymentConfirmedV1, now: datetime) -> None:
    order = decision.order
    if order.charge_id == message.charge_id:
        _repeat_ending(decision)
    elif order.status == "pending" and order.total_kobo is None:
        _put_aside(decision, message)
    elif order.status == "pending":
        price_kobo = message.amount_kobo - message.surcharge_kobo
        if (price_kobo, message.currency) == (order.total_kobo, order.currency):
            _pay(decision, charge_id=message.charge_id, reference=message.reference, paid_at=now)
        else:
            _refund_charge(decision, message, "mismatch", "the amount or currency is not the order's")
    elif order.status in PAID:
        _refund_charge(decision, message, "double", "the order was paid already")
    else:
        _refund_charge(decision, message, "late", f"the order had ended: {order.status}")


def _on_abandoned(decision: Decision, message: PaymentAbandonedV1, now: datetime) -> None:
    order = decision.order
    if order.status in ENDED:
        _repeat_ending(decision)
        return
    # Each service trusts its own clock: an answer that comes before ours says so is given again later. And a charge
    # that waits for its price is not overruled.
    is_due = message.why == "declined" or order.expires_at <= now
    is_charged = any(one.type == PaymentConfirmedV1.TYPE for one in order.details.early)
    if is_due and not is_charged:
        decision.order = replace(order.learn(paying_started=message.paying_started), status="expired")
        _repeat_ending(decision)


def _on_cancel(decision: Decision, _: CancelRequestedV1, __: datetime) -> None:
    if decision.order.status == "pending":
        decision.order = replace(decision.order, status="cancelled")
        _repeat_ending(decision)
    else:
        # Only the view: a buyer who presses again must not set other services to work.
        decision.messages.append(view(decision.order))


def _on_tickets_issued(decision: Decision, message: TicketsIssuedV1, _: datetime) -> None:
    order = decision.order
    if order.status == "pending":
        _put_aside(decision, message)
    elif order.status in PAID:
        # Each message lists what was valid when it was written, and they come in any order: a ticket once heard of is
        # kept, and the newest of a place counts.
        known = {one.number: one for one in (*message.tickets, *(order.details.tickets or ()))}
        decision.order = order.learn(tickets=tuple(known[number] for number in sorted(known)))


def _on_tickets_revoked(decision: Decision, message: TicketsRevokedV1, _: datetime) -> None:
    order = decision.order
    if order.status == "pending":
        _put_aside(decision, message)
        return
    if order.status != "refunding":
        return
    details = order.details
    # Only what was asked for counts, and each answer adds to the others: several refunds may be under way.
    revoked = {*details.revoked_numbers, *(order.wanted_numbers & set(message.numbers))}
    refused = {*details.refused_numbers, *(order.wanted_numbers & {one.number for one in message.refused})} - revoked
    is_new = revoked > set(details.revoked_numbers)
    decision.order = order.learn(
        revoked_numbers=tuple(sorted(revoked)),
        refused_numbers=tuple(sorted(refused)),
        stock_returned=details.stock_returned and not is_new,
    )
    if is_new:
        decision.messages.append(order_refunded(decision.order))
    for one in details.wanted:
        if not one.answered and {*revoked, *refused} >= set(one.numbers):
            _pay_back(decision, one)
    _finish_refund(decision)


def _pay_back(decision: Decision, wanted: WantedRefund) -> None:
    """Tickets first, then money: what was revoked is paid back; the money for what was refused stays."""
    order = decision.order
    answered = wanted.model_copy(update={"answered": True})
    order = order.learn(wanted=tuple(answered if one == wanted else one for one in order.details.wanted))
    decision.order = order
    numbers = tuple(number for number in wanted.numbers if number in order.details.revoked_numbers)
    amount = amount_of(order, numbers)
    if not amount or order.charge_id is None or not wanted.pays:
        return
    record = RefundRecord(
        charge_id=order.charge_id,
        reference=order.details.payment_reference or "",
        amount_kobo=amount,
        currency=order.currency or "",
        purpose="organiser",
        why=wanted.why,
        refund_id=wanted.refund_id,
        numbers=numbers,
    )
    _record_refund(decision, record)
    decision.messages.append(refund_requested(decision.order, record))


def _on_stock_returned(decision: Decision, message: StockReturnedV1, _: datetime) -> None:
    order = decision.order
    returned = {line.tier_id: line.quantity for line in message.lines}
    if all(returned.get(line.tier_id, 0) >= line.quantity for line in returned_lines(order)):
        decision.order = order.learn(stock_returned=True)


def _on_refunded(decision: Decision, message: PaymentRefundedV1, _: datetime) -> None:
    _record_refund(decision, _record_of(message, "refunded"))
    _finish_refund(decision)


def _on_refund_failed(decision: Decision, message: RefundFailedV1, _: datetime) -> None:
    _record_refund(decision, _record_of(message, "failed"))


def _on_mail(decision: Decision, message: MailFailedV1 | MailSentV1, _: datetime) -> None:
    """Keep the last sending of each mail, whatever came first. Of one sending a refusal is kept: it is the bad news."""
    record = MailRecord(
        mail=str(message.mail_id or message.kind),
        kind=message.kind,
        sending=message.sending,
        email=message.email,
        why=message.why if isinstance(message, MailFailedV1) else None,
    )
    known = {one.mail: one for one in decision.order.details.mails}
    if record.mail not in known or _rank(record) > _rank(known[record.mail]):
        known[record.mail] = record
        decision.order = decision.order.learn(mails=tuple(known[mail] for mail in sorted(known)))


def _rank(record: MailRecord) -> tuple[int, bool]:
    return record.sending, record.why is not None


def _on_dispute(decision: Decision, message: DisputeChangedV1, _: datetime) -> None:
    order = decision.order
    if order.status == "pending":
        # Payments tells it again, when there is a decision to hold it against.
        return
    known = next((one for one in order.details.disputes if one.dispute_id == message.dispute_id), None)
    if known is None or (known.status not in {"won", "lost"} and (known.status, message.status) != ("unclear", "open")):
        record = DisputeRecord.model_validate(message.model_dump(include=set(DisputeRecord.model_fields)))
        others = [one for one in order.details.disputes if one is not known]
        kept = sorted((*others, record), key=lambda one: one.dispute_id)
        decision.order = order = order.learn(disputes=tuple(kept))
        if record.status == "lost" and record.charge_id == order.charge_id and order.status in PAID:
            _take_back(decision, record)


def _take_back(decision: Decision, lost: DisputeRecord) -> None:
    """The money of the whole order is gone by another way: its tickets go, its stock returns, nothing is paid.

    Where only a part was lost, nobody but a person knows which tickets that was for: it stays an open case.
    """
    order = decision.order
    numbers = tuple(number for number in ticket_numbers(order) if number not in order.wanted_numbers)
    if numbers and lost.amount_kobo >= amount_of(order, numbers):
        why = "the payment was taken back by the bank"
        wanted = WantedRefund(refund_id=UUID(int=int(lost.dispute_id)), numbers=numbers, why=why, pays=False)
        decision.order = replace(order.learn(wanted=(*order.details.wanted, wanted)), status="refunding")
        decision.messages.append(revoke_requested(decision.order, wanted))


def note_dispute(decision: Decision, message: DisputeChangedV1) -> None:
    """Answer payments with what the tickets are; not yet while that is being found out: it tells us again."""
    order, details = decision.order, decision.order.details
    known = next((one for one in details.disputes if one.dispute_id == message.dispute_id), None)
    is_settled = all(one.answered for one in details.wanted) and details.block_noted >= details.block_version
    if known is not None and known.status == message.status and is_settled:
        tickets = _tickets_of(order, known)
        decision.messages.append(
            DisputeNotedV1(order_id=order.order_id, dispute_id=known.dispute_id, status=known.status, tickets=tickets)
        )


def _tickets_of(order: Order, dispute: DisputeRecord) -> Literal["none", "valid", "blocked", "revoked", "partly"]:
    details = order.details
    if dispute.charge_id != order.charge_id:
        return "none"
    if set(details.revoked_numbers) >= set(ticket_numbers(order)):
        return "revoked"
    if details.blocked:
        return "blocked"
    return "partly" if details.revoked_numbers else "valid"


def _on_tickets_blocked(decision: Decision, message: TicketsBlockedV1, _: datetime) -> None:
    details = decision.order.details
    if details.block_noted < message.version <= details.block_version:
        decision.order = decision.order.learn(block_noted=message.version)


def decide_block(decision: Decision) -> None:
    """Block the tickets of an order while a dispute of its money is open, and let them in again when it is not."""
    order = decision.order
    mine = [one for one in order.details.disputes if one.charge_id == order.charge_id]
    # A lost one stays blocked: where its tickets could not be revoked, a person has not decided yet.
    blocked = any(one.status != "won" for one in mine)
    if order.status in PAID and blocked != order.details.blocked:
        decision.order = order.learn(blocked=blocked, block_version=order.details.block_version + 1)
        decision.messages.append(block_requested(decision.order))


_DECIDERS: Mapping[type[Message], Callable[[Decision, Any, datetime], None]] = MappingProxyType(
    {
        StockReservedV1: _on_reserved,
        StockRejectedV1: _on_stock_rejected,
        PaymentConfirmedV1: _on_confirmed,
        PaymentAbandonedV1: _on_abandoned,
        CancelRequestedV1: _on_cancel,
        TicketsIssuedV1: _on_tickets_issued,
        TicketsRevokedV1: _on_tickets_revoked,
        StockReturnedV1: _on_stock_returned,
        PaymentRefundedV1: _on_refunded,
        RefundFailedV1: _on_refund_failed,
        DisputeChangedV1: _on_dispute,
        TicketsBlockedV1: _on_tickets_blocked,
        MailFailedV1: _on_mail,
        MailSentV1: _on_mail,
    }
)

#: Messages that may be put aside in an order.
_EARLY: Mapping[str, type[OrderMessage]] = MappingProxyType(
    {model.TYPE: model for model in (PaymentConfirmedV1, TicketsIssuedV1, TicketsRevokedV1)}
)


def _pay(decision: Decision, *, charge_id: str | None, reference: str | None, paid_at: datetime) -> None:
    decision.order = replace(
        decision.order.learn(payment_reference=reference), status="paid", charge_id=charge_id, paid_at=paid_at
    )
    _repeat_ending(decision)


def _finish_refund(decision: Decision) -> None:
    """Give the order its status once nothing is under way any more: tickets answered for, money gone back."""
    order = decision.order
    # Only a refund of the charge that paid this order touches the order.
    money = [one for one in order.details.refunds if (one.charge_id, one.purpose) == (order.charge_id, "organiser")]
    is_over = all(one.answered for one in order.details.wanted) and all(one.status == "refunded" for one in money)
    if order.status == "refunding" and is_over:
        all_back = set(order.details.revoked_numbers) >= set(ticket_numbers(order))
        decision.order = replace(order, status="refunded" if all_back else "paid")


def _repeat_ending(decision: Decision) -> None:
    decision.messages.append(ending_of(decision.order))


def _refund_charge(decision: Decision, message: PaymentConfirmedV1, purpose: RefundPurpose, why: str) -> None:
    known = next((one for one in decision.order.details.refunds if one.charge_id == message.charge_id), None)
    record = known or RefundRecord(
        charge_id=message.charge_id,
        reference=message.reference,
        amount_kobo=message.amount_kobo,
        currency=message.currency,
        purpose=purpose,
        why=why,
    )
    if known is None:
        _record_refund(decision, record)
    decision.messages.append(refund_requested(decision.order, record))


def _record_refund(decision: Decision, record: RefundRecord) -> None:
    """Keep one record for each refund; a final status is not taken back by an older message."""
    refunds = decision.order.details.refunds
    known = next((one for one in refunds if one.key == record.key), None)
    if known is None:
        # In one order however they come, so that the same messages leave the same order.
        kept = sorted((*refunds, record), key=lambda one: (one.charge_id, one.purpose, str(one.refund_id)))
        decision.order = decision.order.learn(refunds=tuple(kept))
    elif known.status not in {"refunded", record.status}:
        changed = tuple(known.model_copy(update={"status": record.status}) if one is known else one for one in refunds)
        decision.order = decision.order.learn(refunds=changed)


def _record_of(message: PaymentRefundedV1 | RefundFailedV1, status: str) -> RefundRecord:
    return RefundRecord(
        charge_id=message.charge_id,
        reference=message.reference,
        amount_kobo=message.amount_kobo,
        currency=message.currency,
        purpose=message.purpose,
        why=message.why,
        status=status,
        refund_id=message.refund_id,
        numbers=message.numbers,
    )
