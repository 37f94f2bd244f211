"""What an order says, and what it asks while it waits for an answer. Pure."""

from typing import Any

from services.orders.domain_order import (
    PAID,
    Order,
    RefundRecord,
    WantedRefund,
    amount_of,
    current_tickets,
    holders_of,
    passed_on,
    returned_lines,
)
from shared.contracts.base import Message
from shared.contracts.orders import (
    BlockRequestedV1,
    DisputeView,
    MailProblem,
    OrderCancelledV1,
    OrderChangedV1,
    OrderCreatedV1,
    OrderExpiredV1,
    OrderPaidV1,
    OrderRefundedV1,
    OrderRejectedV1,
    RefundRequestedV1,
    RefundView,
    RevokeRequestedV1,
)


def ending_of(order: Order) -> Message:
    """The message that says how the order left ``pending``."""
    details = order.details
    match order.status:
        case "rejected":
            return OrderRejectedV1.model_validate(
                {"order_id": order.order_id, "reason": details.reason, "tier_id": details.tier_id, "email": order.email}
            )
        case "expired" | "cancelled":
            model = OrderExpiredV1 if order.status == "expired" else OrderCancelledV1
            return model(
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


def refund_requested(order: Order, record: RefundRecord) -> RefundRequestedV1:
    """The message that asks for money to go back."""
    fields = record.model_dump(exclude={"status"})
    return RefundRequestedV1(order_id=order.order_id, email=order.email, **fields)


def order_refunded(order: Order) -> OrderRefundedV1:
    """The message that gives the revoked places back, as totals."""
    return OrderRefundedV1(
        order_id=order.order_id,
        lines=returned_lines(order),
        amount_kobo=amount_of(order, order.details.revoked_numbers),
        charge_id=order.charge_id,
    )


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
        # A ticket with an address of its own is its holder's: the buyer must not see its code.
        tickets=tuple(
            one
            for place, one in sorted(current_tickets(order).items())
            if place not in details.revoked_numbers and one.email is None
        ),
        revoked_numbers=details.revoked_numbers,
        mail_problems=tuple(
            MailProblem(kind=one.kind, email=one.email, why=one.why, to_holder=one.email in holders_of(order))
            for one in details.mails
            if one.why is not None
        ),
        refunds=tuple(_refund_view(one) for one in details.refunds),
        refunding_numbers=tuple(
            sorted(order.wanted_numbers - {*details.revoked_numbers, *details.refused_numbers}),
        ),
        passed_on_numbers=tuple(one for one in passed_on(order) if one not in details.revoked_numbers),
        refused_numbers=details.refused_numbers,
        event_cancelled=details.event_cancelled,
        why=details.why,
        disputes=tuple(DisputeView.model_validate(one.model_dump()) for one in details.disputes),
        blocked=details.blocked,
    )


def _refund_view(one: RefundRecord) -> RefundView:
    return RefundView(
        charge_id=one.charge_id,
        amount_kobo=one.amount_kobo,
        purpose=one.purpose,
        status=one.status,
        refund_id=one.refund_id,
        numbers=one.numbers or None,
    )


def questions_of(order: Order) -> tuple[str, ...]:
    """What the order waits to be told: nothing, or several things at once while places are given back."""
    details = order.details
    if order.status == "pending":
        return ("stock" if order.total_kobo is None else "deadline",)
    if order.status not in PAID:
        return ()
    return (
        *("revocation" for one in details.wanted if not one.answered),
        *([] if details.stock_returned else ["returned stock"]),
        *([] if details.block_noted >= details.block_version else [f"block {details.block_version}"]),
        *("refund" for _ in _unanswered_refunds(order)),
        *(["tickets"] if details.tickets is None else []),
    )


def ask(order: Order) -> list[Message]:
    """The messages that put the order's questions again."""
    if order.status == "pending":
        # Heard again, inventory repeats its answer, and the reaper that missed the order sets its deadline.
        return [order_created(order)]
    if order.status not in PAID:
        return []
    details = order.details
    return [
        *(revoke_requested(order, one) for one in details.wanted if not one.answered),
        *([] if details.stock_returned else [order_refunded(order)]),
        *([] if details.block_noted >= details.block_version else [block_requested(order)]),
        *(refund_requested(order, one) for one in _unanswered_refunds(order)),
        *([ending_of(order)] if details.tickets is None else []),
    ]


def revoke_requested(order: Order, wanted: WantedRefund) -> RevokeRequestedV1:
    """The message that asks for tickets to be revoked."""
    return RevokeRequestedV1(order_id=order.order_id, numbers=wanted.numbers)


def block_requested(order: Order) -> BlockRequestedV1:
    """The message that asks for the order's tickets to be blocked, or let in again."""
    return BlockRequestedV1(order_id=order.order_id, blocked=order.details.blocked, version=order.details.block_version)


def _unanswered_refunds(order: Order) -> list[RefundRecord]:
    """An organiser's refunds of which nobody knows the end yet. Others are asked for again by their charge."""
    if order.status != "refunding":
        return []
    return [one for one in order.details.refunds if one.purpose == "organiser" and one.status == "requested"]
