"""Messages ticketing gives out."""

from typing import Annotated, ClassVar

from pydantic import Field

from shared.contracts.base import (
    ChargeId,
    Email,
    IssuedTicket,
    OrderMessage,
    OrderReference,
    Part,
    Sentence,
    SoldEvent,
    TicketNumber,
    Version,
)


class TicketsIssuedV1(OrderMessage):
    """A paid order's tickets, one for each place."""

    TYPE: ClassVar[str] = "tickets.issued.v1"

    email: Email
    reference: OrderReference
    event: SoldEvent
    charge_id: ChargeId | None = None
    tickets: Annotated[tuple[IssuedTicket, ...], Field(max_length=20_000)]


class RefusedRevocation(Part):
    """A ticket that was not revoked, and why."""

    number: TicketNumber
    why: Sentence


class TicketsRevokedV1(OrderMessage):
    """The answer to a request to revoke: what is revoked now, and what is not."""

    TYPE: ClassVar[str] = "tickets.revoked.v1"

    numbers: tuple[TicketNumber, ...] = ()
    refused: tuple[RefusedRevocation, ...] = ()


class TicketsBlockedV1(OrderMessage):
    """The answer to a request to block: whether the order's tickets are blocked, by the newest word heard of it."""

    TYPE: ClassVar[str] = "tickets.blocked.v1"

    blocked: bool
    version: Version
