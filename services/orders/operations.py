"""What orders' routes take and give, for its OpenAPI document."""

from dataclasses import replace

from pydantic import BaseModel

from shared.contracts.orders import OrderChangedV1
from shared.http.examples import example_of
from shared.http.routes import Operation, Parameter, gives, refuses


class FoundOrders(BaseModel):
    """Orders that match, newest first."""

    orders: tuple[OrderChangedV1, ...]


_NO_ORDER = refuses(404, "No such order.", "not_found")

GET_ORDER = Operation(
    "An order, for the gateway",
    (gives(200, OrderChangedV1, "The order as it is now."), _NO_ORDER),
    roles=("service", "operator", "organiser"),
    tag="For services",
)
SHOW_ORDER = replace(GET_ORDER, summary="An order", name="showOrder", tag="For operators")
SEARCH = Operation(
    "Find orders",
    (
        gives(200, FoundOrders, "At most 100, newest first.", example=lambda: {"orders": [example_of(OrderChangedV1)]}),
        refuses(422, "Neither was given, or one no order can have.", "invalid"),
    ),
    text="By reference or by e-mail address; by both where both are given.",
    parameters=(
        Parameter("reference", "query", "The order's six characters, in capitals or not.", str, "VK9HHU"),
        Parameter("email", "query", "The buyer's address, as it was given.", str, "ada.obi@example.com"),
    ),
    roles=("operator", "organiser"),
    tag="For operators",
)
REFUND = Operation(
    "Refund a paid order",
    (
        gives(202, OrderChangedV1, "Begun: tickets are revoked first, then places and money go back."),
        _NO_ORDER,
        refuses(409, "The order is not paid.", "not_refundable", members={"order_status": "pending"}),
    ),
    text="Without a body the buyer reads a sentence of ours.",
    body_required=False,
    body_example={"why": "The event was called off."},
    roles=("operator", "organiser"),
    tag="For operators",
)
CANCEL = Operation(
    "Cancel an order that waits for money",
    (
        gives(200, OrderChangedV1, "The order has ended without payment."),
        _NO_ORDER,
        refuses(409, "The order has ended otherwise.", "not_cancellable", members={"order_status": "paid"}),
    ),
    roles=("operator", "organiser"),
    tag="For operators",
)
