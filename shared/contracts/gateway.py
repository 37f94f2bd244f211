"""Messages the gateway gives out."""

from typing import Annotated, ClassVar

from pydantic import AwareDatetime, StringConstraints

from shared.contracts.base import Email, Items, OrderMessage


class CheckoutRequestedV1(OrderMessage):
    """A buyer asks for places. ``request_hash`` is SHA-256 over what was asked, to tell a repeat from another order."""

    TYPE: ClassVar[str] = "checkout.requested.v1"
    COMMAND: ClassVar[bool] = True

    email: Email
    items: Items
    request_hash: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    requested_at: AwareDatetime


class CancelRequestedV1(OrderMessage):
    """The buyer gives up an order that is not paid."""

    TYPE: ClassVar[str] = "cancel.requested.v1"
    COMMAND: ClassVar[bool] = True

    requested_at: AwareDatetime
