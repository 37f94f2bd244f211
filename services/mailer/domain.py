"""Which mails there are to be, and what a refusal means for one. Pure."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from shared.contracts.base import IssuedTicket
from shared.contracts.orders import OrderExpiredV1
from shared.contracts.payments import PaymentRefundedV1, RefundFailedV1, RefundStartedV1
from shared.contracts.ticketing import TicketsIssuedV1

Kind = Literal["tickets", "expired", "refund_started", "refunded", "refund_failed"]
#: A ticket's name across orders.
TicketKey = tuple[UUID, int]
RefundMessage = RefundStartedV1 | PaymentRefundedV1 | RefundFailedV1

_REFUND_KINDS: Mapping[type[RefundMessage], Kind] = {
    RefundStartedV1: "refund_started",
    PaymentRefundedV1: "refunded",
    RefundFailedV1: "refund_failed",
}
#: "The message is too large", which a server may say before it has seen any recipient.
_TOO_LARGE = 552


@dataclass(frozen=True, slots=True)
class NewMail:
    """A mail that is to be, known by order, kind and key: the same three never make a second one."""

    order_id: UUID
    kind: Kind
    key: str
    email: str
    data: Mapping[str, Any]
    traceparent: str | None


Status = Literal["waiting", "sent", "failed", "replaced"]


@dataclass(frozen=True, slots=True)
class Sending:
    """A mail as an operator sees it: once for each time it was to be sent."""

    id: UUID
    order_id: UUID
    kind: Kind
    email: str
    status: Status
    sending: int
    tries: int
    last_error: str | None
    created_at: datetime
    due_at: datetime
    ended_at: datetime | None
    first_id: UUID | None


@dataclass(frozen=True, slots=True)
class Hasten:
    """The mail is on its way to that address already: it goes at once, and not twice."""

    mail_id: UUID


@dataclass(frozen=True, slots=True)
class SendAgain:
    """One more sending; those that still wait to go elsewhere are replaced by it."""

    sending: int
    email: str
    replaced: tuple[UUID, ...]


def decide_resend(sendings: Sequence[Sending], email: str | None) -> Hasten | SendAgain:
    """What an operator's wish to send a mail again comes to; to ``email``, or to where it went last."""
    last = sendings[-1]
    wanted = email or last.email
    waiting = [one for one in sendings if one.status == "waiting"]
    for one in waiting:
        if one.email == wanted:
            return Hasten(one.id)
    return SendAgain(last.sending + 1, wanted, tuple(one.id for one in waiting))


@dataclass(frozen=True, slots=True)
class Sent:
    """The server took the mail."""


@dataclass(frozen=True, slots=True)
class Later:
    """The server, or the way to it, could not take the mail now."""

    why: str
    after_seconds: float


@dataclass(frozen=True, slots=True)
class Failed:
    """The mail is given up."""

    why: str


Outcome = Sent | Later | Failed


@dataclass(frozen=True, slots=True)
class Refusal:
    """What the server said. ``code`` is 0 where the connection broke or timed out; ``of_sender``: it refused us."""

    code: int
    text: str
    of_sender: bool = False

    @property
    def is_final(self) -> bool:
        """Whether trying this mail again is pointless.

        A refused sender is our set-up, which a person mends, and would otherwise fail every mail there is.
        """
        return 500 <= self.code <= 599 and (not self.of_sender or self.code == _TOO_LARGE)

    @property
    def why(self) -> str:
        """In one line."""
        said = " ".join(self.text.split())[:400]
        return f"{self.code} {said}" if self.code else said


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to go on with a mail, in seconds."""

    first_pause: float
    most_pause: float
    give_up: float


def decide_refused(refusal: Refusal, *, tries: int, age_seconds: float, patience: Patience) -> Later | Failed:
    """What becomes of a mail that was refused in its ``tries``-th try (from 1)."""
    if refusal.is_final:
        return Failed(refusal.why)
    if age_seconds >= patience.give_up:
        return Failed(f"not taken in {tries} tries over {age_seconds / 3600:.0f} hours; the last: {refusal.why}"[:500])
    pause = min(patience.first_pause * 2.0 ** min(tries - 1, 30), patience.most_pause)
    return Later(refusal.why, pause)


def newest_of_places(tickets: Mapping[TicketKey, IssuedTicket]) -> dict[TicketKey, int]:
    """The newest ticket of each place, with the place: an older one is not valid any more."""
    newest: dict[TicketKey, TicketKey] = {}
    for order_id, number in sorted(tickets):
        newest[order_id, tickets[order_id, number].place or number] = (order_id, number)
    return {key: place for (_, place), key in newest.items()}


def tickets_mail(
    issued: TicketsIssuedV1, tickets: Iterable[IssuedTicket], traceparent: str | None, *, holder: str | None = None
) -> NewMail:
    """The mail with these tickets of an order: those that were in no mail yet.

    ``holder`` is the address of who holds them, where it is not the order's: he sees his tickets, not the order.
    """
    listed = sorted(tickets, key=lambda ticket: ticket.number)
    numbers = ",".join(str(ticket.number) for ticket in listed)
    return NewMail(
        order_id=issued.order_id,
        kind="tickets",
        key=hashlib.sha256(numbers.encode()).hexdigest()[:32],
        email=holder or issued.email,
        data={
            "is_holder": holder is not None,
            "reference": issued.reference,
            "event": issued.event.model_dump(mode="json"),
            "tickets": [ticket.model_dump(mode="json") for ticket in listed],
            "places": len(issued.tickets),
        },
        traceparent=traceparent,
    )


def decide_expired_mail(expired: OrderExpiredV1, traceparent: str | None) -> NewMail | None:
    """A buyer who never went to pay knows; one who did is told."""
    if not expired.paying_started:
        return None
    data = {"reference": expired.reference}
    return NewMail(expired.order_id, "expired", "", expired.email, data, traceparent)


def decide_refund_mail(message: RefundMessage, traceparent: str | None) -> NewMail | None:
    """A refund is one by charge, purpose and its id, if it has one. ``None`` where nobody knows the buyer's address."""
    if message.email is None:
        return None
    kind = _REFUND_KINDS[type(message)]
    return NewMail(
        order_id=message.order_id,
        kind=kind,
        key="/".join([message.charge_id, message.purpose, *([str(message.refund_id)] if message.refund_id else [])]),
        email=message.email,
        data={
            "amount_kobo": message.amount_kobo,
            "currency": message.currency,
            "purpose": message.purpose,
            "payment_reference": message.reference,
            "numbers": list(message.numbers),
            # What Paystack says of a failure is for the operator.
            "organiser_says": message.why if message.purpose == "organiser" and kind != "refund_failed" else None,
        },
        traceparent=traceparent,
    )
