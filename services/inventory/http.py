"""The catalogue for the gateway, and the organiser's changes."""

from datetime import datetime
from typing import Annotated, Any, Self
from uuid import UUID

import asyncpg
from aiohttp import web
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from services.inventory import store
from services.inventory.handlers import emit_tier_changed
from services.inventory.operations import ADD_EVENT, ADD_TIER, CANCEL_EVENT, CHANGE_TIER, GET_EVENT, LIST_EVENTS
from services.inventory.settings import InventorySettings
from shared.contracts.base import Currency, Kobo, Name, Quantity, SoldEvent
from shared.http.problems import Problem
from shared.http.requests import Moment, json_response, read_json, read_uuid, require_role, without_controls
from shared.http.routes import Route, route
from shared.messaging.transaction import Transactions
from shared.runtime.ids import new_id

Price = Annotated[Kobo, Field(description="A whole number of kobo (1/100 naira): 0, or at least 5,000.")]
Text = Annotated[Name, AfterValidator(without_controls)]
Capacity = Annotated[int, Field(strict=True, ge=0, le=1_000_000)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NewEvent(_Body):
    """What tickets will be sold for."""

    title: Text
    venue: Text
    starts_at: Moment
    ends_at: Moment
    currency: Currency = "NGN"

    @model_validator(mode="after")
    def _ends_after_start(self) -> Self:
        if self.ends_at <= self.starts_at:
            raise ValueError("ends_at must be after starts_at")
        return self


class _Priced(_Body):
    price_kobo: Price | None = None

    @model_validator(mode="after")
    def _price_is_chargeable(self) -> Self:
        if self.price_kobo is not None and 0 < self.price_kobo < 5_000:
            raise ValueError("price_kobo must be 0 or at least 5000: Paystack takes nothing smaller")
        return self


class NewTier(_Priced):
    """A kind of place, with its price and how many there are."""

    name: Text
    price_kobo: Price
    capacity: Capacity
    max_per_order: Quantity = 10
    sale_starts_at: Moment | None = None
    sale_ends_at: Moment | None = None


class TierChange(_Priced):
    """Only what is named changes. A price touches later reservations only."""

    name: Text | None = None
    capacity: Capacity | None = None
    max_per_order: Quantity | None = None
    sale_starts_at: Moment | None = None
    sale_ends_at: Moment | None = None


class Cancellation(_Body):
    """Why an event will not take place; its buyers read it."""

    why: Annotated[str, StringConstraints(min_length=1, max_length=300), AfterValidator(without_controls)]


class Routes:
    """``roles`` maps bearer token to role."""

    def __init__(self, transactions: Transactions, roles: dict[str, str], settings: InventorySettings) -> None:
        self._transactions = transactions
        self._roles = roles
        self._ask_again_seconds = settings.ask_again_seconds

    def all(self) -> list[Route]:
        """Every route of this service."""
        return [
            route("GET", "/v1/events", self.list_events, LIST_EVENTS),
            route("GET", "/v1/events/{event_id}", self.get_event, GET_EVENT),
            route("POST", "/v1/admin/events", self.add_event, ADD_EVENT.taking(NewEvent)),
            route("POST", "/v1/admin/events/{event_id}/tiers", self.add_tier, ADD_TIER.taking(NewTier)),
            route("POST", "/v1/admin/events/{event_id}/cancel", self.cancel_event, CANCEL_EVENT.taking(Cancellation)),
            route("PATCH", "/v1/admin/tiers/{tier_id}", self.change_tier, CHANGE_TIER.taking(TierChange)),
        ]

    async def list_events(self, _: web.Request) -> web.Response:
        """Every event that is not over."""
        async with self._transactions.begin() as tx:
            rows = await store.list_tiers(tx.connection, event_id=None)
        return json_response({"events": _events(rows)})

    async def get_event(self, request: web.Request) -> web.Response:
        """One event with its tiers."""
        event_id = read_uuid(request, "event_id", what="event")
        async with self._transactions.begin() as tx:
            rows = await store.list_tiers(tx.connection, event_id=event_id)
        if not rows:
            raise Problem(404, "not_found", "no such event")
        return json_response(_events(rows)[0])

    async def add_event(self, request: web.Request) -> web.Response:
        """201 with the new event's id."""
        require_role(request, self._roles, "organiser", "operator")
        new = await read_json(request, NewEvent)
        event = SoldEvent(id=new_id(), **new.model_dump(exclude={"currency"}))
        async with self._transactions.begin() as tx:
            await store.insert_event(tx.connection, event=event, currency=new.currency)
        return json_response({"id": str(event.id)}, status=201, headers={"Location": f"/v1/events/{event.id}"})

    async def add_tier(self, request: web.Request) -> web.Response:
        """201 with the new tier's id."""
        require_role(request, self._roles, "organiser", "operator")
        event_id = read_uuid(request, "event_id", what="event")
        new = await read_json(request, NewTier)
        tier_id = new_id()
        async with self._transactions.begin() as tx:
            if not await store.insert_tier(tx.connection, tier_id=tier_id, event_id=event_id, **new.model_dump()):
                raise Problem(404, "not_found", "no such event")
            for tier in (await store.lock_tiers(tx.connection, tier_ids=[tier_id])).values():
                emit_tier_changed(tx, tier)
        return json_response({"id": str(tier_id)}, status=201)

    async def cancel_event(self, request: web.Request) -> web.Response:
        """200 when nothing of the event is sold any more; its orders are given back by orders from then on."""
        require_role(request, self._roles, "organiser", "operator")
        event_id = read_uuid(request, "event_id", what="event")
        body = await read_json(request, Cancellation)
        async with self._transactions.begin() as tx:
            # The event first, as whoever adds a tier does; then its tiers, which waits for reservations under way.
            is_new = await store.cancel_event(
                tx.connection, event_id=event_id, why=body.why, ask_after_seconds=self._ask_again_seconds
            )
            cancelled = await store.get_cancellation(tx.connection, event_id=event_id)
            if cancelled is None:
                raise Problem(404, "not_found", "no such event")
            if is_new:
                tier_ids = await store.cancel_tiers(tx.connection, event_id=event_id)
                for tier in (await store.lock_tiers(tx.connection, tier_ids=tier_ids)).values():
                    emit_tier_changed(tx, tier)
                tx.emit(cancelled)
        return json_response(cancelled)

    async def change_tier(self, request: web.Request) -> web.Response:
        """200 with the tier; 409 when the new capacity is below what is held and sold."""
        require_role(request, self._roles, "organiser", "operator")
        tier_id = read_uuid(request, "tier_id", what="tier")
        change = await read_json(request, TierChange)
        given: dict[str, Any] = change.model_dump(include=change.model_fields_set)
        window: dict[str, datetime | None] = {
            name: given[name] for name in ("sale_starts_at", "sale_ends_at") if name in given
        }
        async with self._transactions.begin() as tx:
            tiers = await store.lock_tiers(tx.connection, tier_ids=[tier_id])
            if not tiers:
                raise Problem(404, "not_found", "no such tier")
            changed = await store.update_tier(
                tx.connection,
                tier_id=tier_id,
                name=change.name,
                price_kobo=change.price_kobo,
                capacity=change.capacity,
                max_per_order=change.max_per_order,
                window=window,
            )
            if not changed:
                taken = tiers[tier_id].held + tiers[tier_id].sold
                raise Problem(409, "capacity_too_small", f"{taken} places are held or sold", taken=taken)
            tier = (await store.lock_tiers(tx.connection, tier_ids=[tier_id]))[tier_id]
            emit_tier_changed(tx, tier)
        return json_response(tier.view())


def _events(rows: list[asyncpg.Record]) -> list[dict[str, Any]]:
    events: dict[UUID, dict[str, Any]] = {}
    for row in rows:
        event = events.setdefault(
            row["event_id"],
            {
                "id": str(row["event_id"]),
                **{name: row[name] for name in ("title", "venue", "starts_at", "ends_at", "currency", "cancelled_at")},
                "tiers": [],
            },
        )
        if row["id"] is not None:
            names = ("name", "price_kobo", "capacity", "available", "held", "sold", "max_per_order",
                     "sale_starts_at", "sale_ends_at", "version", "currency")  # fmt: skip
            event["tiers"].append({"id": str(row["id"]), **{name: row[name] for name in names}})
    return list(events.values())
