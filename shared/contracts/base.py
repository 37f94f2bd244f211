"""Field types and limits that all messages share."""

from typing import Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

#: Money in kobo (1/100 naira). Paystack's largest single charge is 10,000,000 naira; events sum several.
Kobo = Annotated[
    int, Field(strict=True, ge=0, le=9_007_199_254_740_991, description="A whole number of kobo (1/100 naira).")
]
#: Places on one line of an order.
Quantity = Annotated[int, Field(strict=True, ge=1, le=1_000, description="A number of places.")]
#: ISO 4217 code.
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$"), Field(description="ISO 4217, as in NGN.")]
#: 254 octets is the longest address a mail path can carry (RFC 5321, 4.5.3.1.3, less the brackets).
Email = Annotated[
    str, StringConstraints(min_length=3, max_length=254, pattern=r"^[^@\s<>,;:\"()\[\]\\]+@[^@\s<>,;:\"()\[\]\\]+$")
]
#: The order's public name: six characters of an alphabet without look-alikes (no 0 O 1 I L).
OrderReference = Annotated[
    str,
    StringConstraints(pattern=r"^[23456789A-HJKMNP-Z]{6}$"),
    Field(description="The order's public name, as on its tickets."),
]
#: Our reference for one attempt to pay; the alphabet is the one Paystack documents.
PaymentReference = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9.=-]{1,64}$"), Field(description="Our name for one attempt to pay.")
]
#: Paystack's transaction id, an unsigned 64-bit number, as text so that no JSON reader rounds it.
ChargeId = Annotated[
    str,
    StringConstraints(pattern=r"^[0-9]{1,20}$"),
    Field(description="Paystack's transaction id, a 64-bit number as text so that no JSON reader rounds it."),
]
#: A title or name that a person reads.
Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]
#: A sentence for a person or a log.
Sentence = Annotated[str, StringConstraints(max_length=500)]
#: A ticket's number within its order, from 1.
TicketNumber = Annotated[
    int, Field(strict=True, ge=1, le=20_000, description="A ticket's number within its order, from 1.")
]
#: A counter that only rises; a reader drops what is not newer than what it has.
Version = Annotated[int, Field(strict=True, ge=1, description="Rises with every change; drop what is not newer.")]

#: Lines in one order.
MAX_LINES = 20

OrderStatus = Literal["pending", "rejected", "paid", "expired", "cancelled", "refunding", "refunded"]
RejectionReason = Literal["sold_out", "unknown_tier", "not_on_sale", "over_limit", "several_events"]
DisputeStatus = Literal["open", "unclear", "won", "lost"]
RefundPurpose = Literal["late", "double", "mismatch", "organiser"]


class Part(BaseModel):
    """A value inside a message. Unknown fields are ignored on read, so that a newer producer can add some."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Message(Part):
    """The data of one message. ``order_id`` is the CloudEvents subject."""

    #: The wire type, as in ``order.created.v1``; also the routing key.
    TYPE: ClassVar[str]
    #: True for a request to one service (direct exchange), false for a fact that anybody may hear (topic exchange).
    COMMAND: ClassVar[bool] = False

    @property
    def subject(self) -> UUID:
        """What the message is about: the order, unless a model says otherwise."""
        raise NotImplementedError


class OrderMessage(Message):
    """A message about one order."""

    order_id: UUID

    @property
    def subject(self) -> UUID:
        """The order's id."""
        return self.order_id


class Item(Part):
    """What a buyer asks for: places of one tier."""

    tier_id: UUID
    quantity: Quantity


class PricedLine(Part):
    """What was reserved, with the name and price that stood in inventory's row at that moment."""

    tier_id: UUID
    tier_name: Name
    quantity: Quantity
    price_kobo: Kobo


class SoldEvent(Part):
    """What tickets are sold for."""

    id: UUID
    title: Name
    starts_at: AwareDatetime
    ends_at: AwareDatetime
    venue: Name


class IssuedTicket(Part):
    """One ticket: the code a person can type and the QR text a gate checks with a public key."""

    number: TicketNumber
    tier_id: UUID
    tier_name: Name
    code: Annotated[str, StringConstraints(min_length=10, max_length=64)]
    qr: Annotated[str, StringConstraints(min_length=10, max_length=1_024)]
    #: For a ticket that was issued again: the number of the first ticket of its place. Absent: ``number`` itself.
    place: TicketNumber | None = None
    #: Its holder's address, where that is not the order's.
    email: Email | None = None


Items = Annotated[tuple[Item, ...], Field(min_length=1, max_length=MAX_LINES)]
PricedLines = Annotated[tuple[PricedLine, ...], Field(min_length=1, max_length=MAX_LINES)]
