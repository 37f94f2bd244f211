"""What inventory's routes take and give, for its OpenAPI document."""

from typing import Any
from uuid import UUID

from pydantic import AwareDatetime, BaseModel

from shared.contracts.base import Currency, SoldEvent, Version
from shared.contracts.inventory import EventCancelledV1, TierView
from shared.http.routes import SAMPLE_ID, Operation, gives, refuses

_EVENT_ID = "018f3f5e-6a10-7c55-8f3e-2b9d4c6e8a01"
_EVENT: dict[str, Any] = {
    "title": "Night of the Long Drums",
    "venue": "Freedom Park, Lagos",
    "starts_at": "2031-05-01T19:00:00Z",
    "ends_at": "2031-05-01T23:00:00Z",
}
_TIER: dict[str, Any] = {
    "id": SAMPLE_ID,
    "name": "Regular",
    "price_kobo": 500_000,
    "currency": "NGN",
    "capacity": 200,
    "available": 120,
    "held": 30,
    "sold": 50,
    "max_per_order": 10,
    "sale_starts_at": None,
    "sale_ends_at": "2031-05-01T19:00:00Z",
}


class ListedTier(TierView):
    """A tier with the number of its version, which rises with every change."""

    version: Version


class ListedEvent(SoldEvent):
    """An event with its tiers."""

    currency: Currency
    cancelled_at: AwareDatetime | None = None
    tiers: tuple[ListedTier, ...]


class ListedEvents(BaseModel):
    """The catalogue."""

    events: tuple[ListedEvent, ...]


class Created(BaseModel):
    """What was made."""

    id: UUID


_LISTED = {**_EVENT, "id": _EVENT_ID, "currency": "NGN", "tiers": [{**_TIER, "version": 7}]}
_NO_EVENT = refuses(404, "No such event.", "not_found")

LIST_EVENTS = Operation(
    "Every event that is not over, with its tiers",
    (gives(200, ListedEvents, "The events.", example={"events": [_LISTED]}),),
    tag="For everybody",
)
GET_EVENT = Operation(
    "One event with its tiers",
    (gives(200, ListedEvent, "The event.", example=_LISTED), _NO_EVENT),
    tag="For everybody",
)


#: Their bodies are added by the routes, which read them.
ADD_EVENT = Operation(
    "Add an event",
    (
        gives(
            201, Created, "The event's id.", example={"id": _EVENT_ID}, headers={"Location": "Where the event is read."}
        ),
    ),
    body_example={**_EVENT, "currency": "NGN"},
    roles=("organiser", "operator"),
    tag="For organisers",
)
ADD_TIER = Operation(
    "Add a tier to an event",
    (gives(201, Created, "The tier's id.", example={"id": SAMPLE_ID}), _NO_EVENT),
    body_example={"name": "Regular", "price_kobo": 500_000, "capacity": 200, "max_per_order": 10},
    roles=("organiser", "operator"),
    tag="For organisers",
)
CHANGE_TIER = Operation(
    "Change a tier",
    (
        gives(200, TierView, "The tier as it is now.", example=_TIER),
        refuses(404, "No such tier.", "not_found"),
        refuses(409, "More places are held and sold than there would be.", "capacity_too_small", members={"taken": 80}),
    ),
    text="Only what is named changes. A price touches later reservations only.",
    body_example={"price_kobo": 650_000, "capacity": 250},
    roles=("organiser", "operator"),
    tag="For organisers",
)
CANCEL_EVENT = Operation(
    "Cancel an event",
    (gives(200, EventCancelledV1, "Cancelled, now or before: nothing of it is sold any more."), _NO_EVENT),
    text="Orders that wait for money end; paid ones are given back: tickets first, then places and money. orders shows"
    " how far that is. It cannot be undone.",
    body_example={"why": "The hall has no power. All tickets are paid back."},
    roles=("organiser", "operator"),
    tag="For organisers",
)
