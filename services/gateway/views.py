"""From what orders and inventory say to what a buyer sees."""

from datetime import datetime
from typing import Any
from uuid import UUID

from services.gateway.domain import hint_at, is_payable
from services.gateway.models import CheckoutAnswer, MailProblemView, OrderView, PendingAnswer, TicketView
from shared.contracts.base import RejectionReason
from shared.contracts.orders import OrderChangedV1
from shared.http.tokens import Tokens

#: What a refused buyer is told.
REASONS: dict[RejectionReason, str] = {
    "sold_out": "there are not enough places left",
    "not_on_sale": "this is not on sale now",
    "over_limit": "this is more than one order may have",
    "unknown_tier": "there is no such tier",
    "several_events": "one order holds places of one event only",
}


class Links:
    """Tokens, and addresses that carry them."""

    def __init__(self, tokens: Tokens, *, public_url: str, payments_public_url: str) -> None:
        self._tokens = tokens
        self._public_url = public_url
        self._payments_public_url = payments_public_url

    def order_token(self, order_id: UUID) -> str:
        """The token that reads and cancels an order."""
        return self._tokens.make("order", order_id)

    def may_read(self, order_id: UUID, token: str | None) -> bool:
        """Whether the token is this order's."""
        return self._tokens.check(token, "order", order_id)

    def order_url(self, order_id: UUID) -> str:
        """Where a program reads the order."""
        return f"{self._public_url}/v1/orders/{order_id}"

    def page_path(self, order_id: UUID) -> str:
        """Where its buyer sees the order, on this server."""
        return f"/orders/{order_id}?token={self.order_token(order_id)}"

    def payment_url(self, view: OrderChangedV1) -> str | None:
        """Where the order is paid, while it can be."""
        if not is_payable(view):
            return None
        token = self._tokens.make("pay", view.order_id)
        return f"{self._payments_public_url}/pay/{view.order_id}?token={token}"

    def checkout_answer(self, view: OrderChangedV1) -> CheckoutAnswer:
        """The outcome of a checkout."""
        return CheckoutAnswer(
            order_id=view.order_id,
            order_token=self.order_token(view.order_id),
            status=view.status,
            total_kobo=view.total_kobo,
            currency=view.currency,
            lines=view.lines,
            payment_url=self.payment_url(view),
            expires_at=view.expires_at,
        )

    def pending_answer(self, order_id: UUID) -> PendingAnswer:
        """The answer while there is no outcome."""
        return PendingAnswer(order_id=order_id, order_token=self.order_token(order_id))

    def order_view(self, order_id: UUID, view: OrderChangedV1 | None, *, now: datetime) -> OrderView:
        """The order as its buyer sees it; ``None`` is one that orders has not taken up yet."""
        if view is None:
            return OrderView(order_id=order_id, server_time=now)
        revoked = frozenset(view.revoked_numbers)
        shown: dict[str, Any] = {
            name: getattr(view, name) for name in OrderView.model_fields if name in OrderChangedV1.model_fields
        }
        shown["tickets"] = tuple(
            TicketView(**ticket.model_dump(), revoked=ticket.number in revoked) for ticket in view.tickets
        )
        shown["mail_problems"] = tuple(
            MailProblemView(kind=one.kind, email=hint_at(one.email)) for one in view.mail_problems if not one.to_holder
        )
        return OrderView(**shown, payment_url=self.payment_url(view), server_time=now)
