"""What an order is, and what each message does to it. Pure: the same order and message give the same decision."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from shared.contracts.base import (
    ChargeId,
    IssuedTicket,
    Item,
    Message,
    OrderMessage,
    OrderStatus,
    PricedLine,
    RefundPurpose,
    RejectionReason,
    SoldEvent,
)
from shared.contracts.gateway import CancelRequestedV1
from shared.contracts.inventory import StockRejectedV1, StockReservedV1, StockReturnedV1
from shared.contracts.orders import (
    OrderCancelledV1,
    OrderChangedV1,
    OrderCreatedV1,
    OrderExpiredV1,
    OrderPaidV1,
    OrderRefundedV1,
    OrderRejectedV1,
    RefundRequestedV1,
    RefundView,
    ReturnedLine,
    RevokeRequestedV1,
)
from shared.contracts.payments import PaymentAbandonedV1, PaymentConfirmedV1, PaymentRefundedV1, RefundFailedV1
from shared.contracts.ticketing import TicketsIssuedV1, TicketsRevokedV1

ENDED: frozenset[OrderStatus] = frozenset({"rejected", "paid", "expired", "cancelled", "refunding", "refunded"})
PAID: frozenset[OrderStatus] = frozenset({"paid", "refunding", "refunded"})


class RefundRecord(BaseModel):
    """Money that is to go back to the buyer, or went."""

    model_config = ConfigDict(frozen=True)

    charge_id: ChargeId
    reference: str
    amount_kobo: int
    currency: str
    purpose: RefundPurpose
    why: str
    status: str = "requested"


class EarlyMessage(BaseModel):
    """A message that came before what it builds on; applied when that is there."""

    model_config = ConfigDict(frozen=True)

    type: str
    data: dict[str, Any]


class Details(BaseModel):
    """What is known of an order beyond its columns."""

    model_config = ConfigDict(frozen=True)

    items: tuple[Item, ...]
    event: SoldEvent | None = None
    lines: tuple[PricedLine, ...] = ()
    reason: RejectionReason | None = None
    tier_id: UUID | None = None
    payment_reference: str | None = None
    paying_started: bool | None = None
    tickets: tuple[IssuedTicket, ...] | None = None
    #: Ticket numbers that an organiser wants revoked, that are, and that ticketing refused to revoke.
    revoke_numbers: tuple[int, ...] = ()
    revoked_numbers: tuple[int, ...] = ()
    refused_numbers: tuple[int, ...] = ()
    #: Whether inventory answered that the revoked places are back.
    stock_returned: bool = True
    refund_why: str = ""
    refunds: tuple[RefundRecord, ...] = ()
    early: tuple[EarlyMessage, ...] = ()


@dataclass(frozen=True, slots=True)
class Order:
    """One order, as its row says."""

    order_id: UUID
    reference: str
    status: OrderStatus
    version: int
    email: str
    request_hash: str
    created_at: datetime
    expires_at: datetime
    details: Details
    total_kobo: int | None = None
    currency: str | None = None
    charge_id: str | None = None
    paid_at: datetime | None = None
    ask_at: datetime | None = None
    asks: int = 0
    traceparent: str | None = None

    def learn(self, **details: Any) -> "Order":
        """The same order with these details changed."""
        return replace(self, details=self.details.model_copy(update=details))


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
        if (message.amount_kobo, message.currency) == (order.total_kobo, order.currency):
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
    elif order.status in PAID and order.details.tickets is None:
        decision.order = order.learn(tickets=message.tickets)


def _on_tickets_revoked(decision: Decision, message: TicketsRevokedV1, _: datetime) -> None:
    order = decision.order
    if order.status == "pending":
        _put_aside(decision, message)
        return
    revoked = tuple(sorted({*order.details.revoked_numbers, *message.numbers}))
    refused = tuple(sorted({one.number for one in message.refused} - set(revoked)))
    if order.status != "refunding" or not {*revoked, *refused} >= set(order.details.revoke_numbers):
        return
    if (revoked, refused) == (order.details.revoked_numbers, order.details.refused_numbers):
        return
    decision.order = order.learn(revoked_numbers=revoked, refused_numbers=refused, stock_returned=not revoked)
    if revoked:
        decision.messages.append(_order_refunded(decision.order))
    amount = _amount_of(decision.order, revoked)
    if amount and order.charge_id is not None:
        record = RefundRecord(
            charge_id=order.charge_id,
            reference=order.details.payment_reference or "",
            amount_kobo=amount,
            currency=order.currency or "",
            purpose="organiser",
            why=order.details.refund_why,
        )
        _record_refund(decision, record)
        decision.messages.append(_refund_requested(decision.order, record))
    else:
        _finish_refund(decision)


def _on_stock_returned(decision: Decision, message: StockReturnedV1, _: datetime) -> None:
    order = decision.order
    returned = {line.tier_id: line.quantity for line in message.lines}
    if all(returned.get(line.tier_id, 0) >= line.quantity for line in _returned_lines(order)):
        decision.order = order.learn(stock_returned=True)


def _on_refunded(decision: Decision, message: PaymentRefundedV1, _: datetime) -> None:
    _record_refund(decision, _record_of(message, "refunded"))
    order = decision.order
    # Only a refund of the charge that paid this order touches the order.
    if message.purpose == "organiser" and message.charge_id == order.charge_id and order.status == "refunding":
        _finish_refund(decision)


def _on_refund_failed(decision: Decision, message: RefundFailedV1, _: datetime) -> None:
    _record_refund(decision, _record_of(message, "failed"))


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
    }
)

#: Messages that may be put aside in an order.
_EARLY: Mapping[str, type[OrderMessage]] = MappingProxyType(
    {model.TYPE: model for model in (PaymentConfirmedV1, TicketsIssuedV1, TicketsRevokedV1)}
)


def decide_refund(order: Order, *, why: str) -> Decision | None:
    """An organiser takes all tickets back and returns the money: tickets first. ``None`` unless the order is paid."""
    numbers = tuple(sorted(set(ticket_numbers(order)) - set(order.details.revoked_numbers)))
    if order.status != "paid" or not numbers:
        return None
    refunding = replace(
        order.learn(revoke_numbers=tuple(sorted({*order.details.revoked_numbers, *numbers})), refund_why=why),
        status="refunding",
    )
    return Decision(refunding, [RevokeRequestedV1(order_id=order.order_id, numbers=numbers)])


def _pay(decision: Decision, *, charge_id: str | None, reference: str | None, paid_at: datetime) -> None:
    decision.order = replace(
        decision.order.learn(payment_reference=reference), status="paid", charge_id=charge_id, paid_at=paid_at
    )
    _repeat_ending(decision)


def _finish_refund(decision: Decision) -> None:
    all_back = set(decision.order.details.revoked_numbers) >= set(ticket_numbers(decision.order))
    decision.order = replace(decision.order, status="refunded" if all_back else "paid")


def _repeat_ending(decision: Decision) -> None:
    decision.messages.append(ending_of(decision.order))


def ending_of(order: Order) -> Message:
    """The message that says how the order left ``pending``."""
    details = order.details
    match order.status:
        case "rejected":
            return OrderRejectedV1.model_validate(
                {"order_id": order.order_id, "reason": details.reason, "tier_id": details.tier_id, "email": order.email}
            )
        case "expired":
            return OrderExpiredV1(
                order_id=order.order_id,
                reference=order.reference,
                expires_at=order.expires_at,
                paying_started=details.paying_started,
                email=order.email,
            )
        case "cancelled":
            return OrderCancelledV1(
                order_id=order.order_id,
                reference=order.reference,
                expires_at=order.expires_at,
                paying_started=details.paying_started,
                email=order.email,
            )
        case _:
            fields: dict[str, Any] = {
                "order_id": order.order_id,
                "reference": order.reference,
                "email": order.email,
                "event": details.event,
                "lines": details.lines,
                "total_kobo": order.total_kobo,
                "currency": order.currency,
                "expires_at": order.expires_at,
                "charge_id": order.charge_id,
            }
            assert order.status in PAID, f"a {order.status} order has not ended"
            return OrderPaidV1.model_construct(**fields)


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
    decision.messages.append(_refund_requested(decision.order, record))


def _record_refund(decision: Decision, record: RefundRecord) -> None:
    """Keep one record for each charge and purpose; a final status is not taken back by an older message."""
    key = (record.charge_id, record.purpose)
    refunds = decision.order.details.refunds
    known = next((one for one in refunds if (one.charge_id, one.purpose) == key), None)
    if known is None:
        decision.order = decision.order.learn(refunds=(*refunds, record))
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
    )


def _refund_requested(order: Order, record: RefundRecord) -> RefundRequestedV1:
    fields = record.model_dump(exclude={"status"})
    return RefundRequestedV1(order_id=order.order_id, email=order.email, **fields)


def _order_refunded(order: Order) -> OrderRefundedV1:
    return OrderRefundedV1(
        order_id=order.order_id,
        lines=_returned_lines(order),
        amount_kobo=_amount_of(order, order.details.revoked_numbers),
        charge_id=order.charge_id,
    )


def ticket_numbers(order: Order) -> range:
    """The numbers of all the order's tickets: they run over its lines from 1."""
    return range(1, sum(line.quantity for line in order.details.lines) + 1)


def _line_of_number(order: Order) -> dict[int, PricedLine]:
    lines = [line for line in order.details.lines for _ in range(line.quantity)]
    return dict(enumerate(lines, start=1))


def _amount_of(order: Order, numbers: tuple[int, ...]) -> int:
    lines = _line_of_number(order)
    return sum(lines[number].price_kobo for number in numbers if number in lines)


def _returned_lines(order: Order) -> tuple[ReturnedLine, ...]:
    lines = _line_of_number(order)
    places = Counter(lines[number].tier_id for number in order.details.revoked_numbers if number in lines)
    return tuple(ReturnedLine(tier_id=tier_id, quantity=count) for tier_id, count in sorted(places.items()))


def question_of(order: Order) -> str | None:
    """What the order waits to be told, if anything."""
    details = order.details
    if order.status == "pending":
        return "stock" if order.total_kobo is None else "deadline"
    if order.status == "refunding":
        answered = {*details.revoked_numbers, *details.refused_numbers} >= set(details.revoke_numbers)
        return "refund" if answered else "revocation"
    if order.status in PAID and not details.stock_returned:
        return "returned stock"
    if order.status in PAID and details.tickets is None:
        return "tickets"
    return None


def ask(order: Order) -> list[Message]:
    """The messages that put the order's question again."""
    match question_of(order):
        case "stock" | "deadline":
            # Heard again, inventory repeats its answer, and the reaper that missed the order sets its deadline.
            return [order_created(order)]
        case "tickets":
            return [ending_of(order)]
        case "revocation":
            return [RevokeRequestedV1(order_id=order.order_id, numbers=order.details.revoke_numbers)]
        case "refund" | "returned stock":
            returned: list[Message] = [] if order.details.stock_returned else [_order_refunded(order)]
            wanted = [one for one in order.details.refunds if one.purpose == "organiser" and one.status == "requested"]
            return [*returned, *(_refund_requested(order, one) for one in wanted)]
        case _:
            return []


def order_created(order: Order) -> Message:
    """The message that says that the order exists."""
    return OrderCreatedV1(
        order_id=order.order_id,
        reference=order.reference,
        email=order.email,
        lines=order.details.items,
        expires_at=order.expires_at,
    )


def view(order: Order) -> OrderChangedV1:
    """The whole public view."""
    details = order.details
    return OrderChangedV1(
        order_id=order.order_id,
        version=order.version,
        status=order.status,
        reference=order.reference,
        email=order.email,
        request_hash=order.request_hash,
        items=details.items,
        reason=details.reason,
        tier_id=details.tier_id,
        event=details.event,
        lines=details.lines,
        total_kobo=order.total_kobo,
        currency=order.currency,
        created_at=order.created_at,
        expires_at=order.expires_at,
        paid_at=order.paid_at,
        tickets=tuple(one for one in details.tickets or () if one.number not in details.revoked_numbers),
        revoked_numbers=details.revoked_numbers,
        refunds=tuple(
            RefundView.model_validate(one.model_dump(include={"charge_id", "amount_kobo", "purpose", "status"}))
            for one in details.refunds
        ),
    )
