"""What happened to one order in one service, for the operator: the same route in every service that knows orders."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from aiohttp import web
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from shared.http.requests import json_response, read_uuid, require_role
from shared.http.routes import SAMPLE_ID, Operation, Route, gives, refuses, route
from shared.postgres.database import Database


class TimelineEntry(BaseModel):
    """One thing that happened, or, with a time to come, that will."""

    model_config = ConfigDict(frozen=True)

    at: AwareDatetime
    what: str
    facts: dict[str, Any] = Field(default_factory=dict)


class Timeline(BaseModel):
    """Everything this service knows to have happened to the order, oldest first; empty when it never heard of it."""

    order_id: UUID
    entries: tuple[TimelineEntry, ...]


_EXAMPLE = {
    "order_id": SAMPLE_ID,
    "entries": [{"at": "2031-05-01T19:00:00Z", "what": "tickets were issued", "facts": {"numbers": [1, 2]}}],
}
_SHOW_TIMELINE = Operation(
    "What happened to an order here",
    (
        gives(200, Timeline, "Oldest first; empty for an order this service never heard of.", example=_EXAMPLE),
        refuses(404, "That is no order's id.", "not_found"),
    ),
    text="Each service tells what it keeps itself; `boxoffice order show` puts all of it together.",
    roles=("operator", "organiser"),
    tag="For operators",
    name="showTimeline",
)


def timeline_route(database: Database, statement: str, roles: Mapping[str, str]) -> Route:
    """`GET /v1/admin/orders/{order_id}/timeline` of one service.

    ``statement`` is its `list_timeline.sql`: rows of `at`, `what`, `facts` for the order $1. ``roles`` maps bearer
    token to role.
    """

    async def show_timeline(request: web.Request) -> web.StreamResponse:
        require_role(request, roles, "operator", "organiser")
        order_id = read_uuid(request, "order_id", what="order")
        async with database.acquire() as connection:
            rows = await connection.fetch(statement, order_id)
        entries = sorted((TimelineEntry(**dict(row)) for row in rows), key=lambda entry: entry.at)
        return json_response(Timeline(order_id=order_id, entries=tuple(entries)))

    return route("GET", "/v1/admin/orders/{order_id}/timeline", show_timeline, _SHOW_TIMELINE)
