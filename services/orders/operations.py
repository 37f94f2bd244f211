"""What orders' routes take and give, for its OpenAPI document."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

from pydantic import AwareDatetime, BaseModel

from shared.contracts.base import Kobo
from shared.contracts.orders import OrderChangedV1
from shared.http.examples import example_of
from shared.http.routes import SAMPLE_ID, Operation, Parameter, gives, refuses


class FoundOrders(BaseModel):
    """Orders that match, newest first."""

    orders: tuple[OrderChangedV1, ...]


class EventRefunds(BaseModel):
    """The organiser's refunds of one event that stand alike."""

    count: int
    amount_kobo: Kobo


class EventCancellation(BaseModel):
    """How far the cancellation of an event is.

    ``orders`` counts them: ``waiting`` for their turn, ``refunding``, ``refunded``, ``cancelled`` before they were
    paid, ``kept`` by people who were let in, ``ended`` before the event was cancelled.
    """

    event_id: UUID
    title: str
    why: str
    cancelled_at: AwareDatetime
    is_done: bool
    orders: dict[str, int]
    refunds: dict[str, EventRefunds]


def cancellation_of(
    event: Mapping[str, Any], orders: Iterable[Mapping[str, Any]], refunds: Iterable[Mapping[str, Any]]
) -> EventCancellation:
    """The same, from rows: an event's, its orders' and its refunds'."""
    counts = dict.fromkeys(("waiting", "refunding", "refunded", "cancelled", "kept", "ended"), 0)
    for row in orders:
        counts[_place_of(row["status"], is_taken=row["is_taken"])] += row["orders"]
    return EventCancellation(
        **event,
        is_done=counts["waiting"] + counts["refunding"] == 0,
        orders=counts,
        refunds={row["status"]: EventRefunds(count=row["refunds"], amount_kobo=row["amount_kobo"]) for row in refunds},
    )


def _place_of(status: str, *, is_taken: bool) -> str:
    if not is_taken:
        return "waiting" if status in {"pending", "paid", "refunding"} else "ended"
    return "kept" if status == "paid" else status


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
SHOW_CANCELLATION = Operation(
    "How far a cancelled event is",
    (
        gives(
            200,
            EventCancellation,
            "Orders by what has become of them, and their refunds by how they stand.",
            example={
                "event_id": SAMPLE_ID,
                "title": "Night of the Long Drums",
                "why": "The hall has no power. All tickets are paid back.",
                "cancelled_at": "2031-04-30T09:12:00Z",
                "is_done": False,
                "orders": {
                    "waiting": 7200, "refunding": 2350, "refunded": 400, "cancelled": 48, "kept": 2, "ended": 310,
                },
                "refunds": {
                    "requested": {"count": 2350, "amount_kobo": 1_762_500_000},
                    "refunded": {"count": 400, "amount_kobo": 300_000_000},
                },
            },
        ),
        refuses(404, "No such event is cancelled.", "not_found"),
    ),
    roles=("operator", "organiser"),
    tag="For operators",
)  # fmt: skip
