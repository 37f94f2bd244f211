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
    "Refund a paid order, or places of it",
    (
        gives(202, OrderChangedV1, "Begun, or begun before under this key: tickets first, then places and money."),
        _NO_ORDER,
        refuses(
            409,
            "There is nothing to give back: the order is not paid, or these tickets are not there to be given back.",
            "not_refundable",
            "already_refunded",
            "already_admitted",
            "refund_in_progress",
            "not_enough_places",
            members={"order_status": "refunding", "numbers": [2]},
        ),
        refuses(
            422,
            "The order has no such ticket, or the key asked for another refund before.",
            "unknown_number",
            "key_reused",
            members={"order_status": "paid", "numbers": [9]},
        ),
    ),
    text="Tickets by `numbers`, or `quantity` places of `tier_id`, or everything that is left. A refund may begin while"
    " another of the same order is under way. The buyer reads `why`.",
    parameters=(
        Parameter(
            "Idempotency-Key", "header", "A repeat under the same key is the same refund.", str, "refund-VK9HHU-2-0001"
        ),
    ),
    body_required=False,
    body_example={"why": "One of you cannot come.", "numbers": [2]},
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
