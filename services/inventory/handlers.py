"""What inventory does with each message it takes in."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from services.inventory import store
from services.inventory.domain import (
    RELEASE,
    RESERVE,
    RETURN,
    SELL,
    Limits,
    Movement,
    Rejected,
    Reserved,
    StockRequest,
    Tier,
    decide_reservations,
    decide_return,
    merge_movements,
    movements_of,
)
from services.inventory.settings import InventorySettings
from services.inventory.store import EndedHold, Hold
from shared.contracts.base import Message, OrderMessage
from shared.contracts.inventory import (
    ReturnedStock,
    StockRejectedV1,
    StockReservedV1,
    StockReturnedV1,
    TierChangedV1,
)
from shared.contracts.orders import (
    CancellationStartedV1,
    OrderCancelledV1,
    OrderCreatedV1,
    OrderExpiredV1,
    OrderPaidV1,
    OrderRefundedV1,
)
from shared.contracts.payments import StockAskedV1
from shared.messaging.cloudevents import Event
from shared.messaging.handling import Handlers
from shared.messaging.transaction import Transaction


def make_handlers(settings: InventorySettings) -> Handlers:
    """All handlers, in the order in which one transaction runs them."""

    async def on_created(tx: Transaction, events: Sequence[Event[OrderCreatedV1]]) -> None:
        await on_order_created(tx, events, settings)

    by_type: dict[type[Message], Callable[[Transaction, Sequence[Event[Any]]], Awaitable[None]]] = {
        OrderCreatedV1: on_created,
        StockAskedV1: on_stock_asked,
        OrderPaidV1: on_order_paid,
        OrderExpiredV1: on_order_ended,
        OrderCancelledV1: on_order_ended,
        OrderRefundedV1: on_order_refunded,
        CancellationStartedV1: on_cancellation_started,
    }
    return Handlers("inventory", by_type, lock_rows)


async def lock_rows(tx: Transaction, events: Sequence[Event[Any]]) -> None:
    """Lock every hold, then every stock row that any event of the batch is about: always in this order."""
    order_ids = [event.data.order_id for event in events if isinstance(event.data, OrderMessage)]
    holds = await store.lock_holds(tx.connection, order_ids=order_ids)
    asked = {line.tier_id for event in events if isinstance(event.data, OrderCreatedV1) for line in event.data.lines}
    held = {tier_id for hold in holds.values() for tier_id, _ in hold.places}
    await store.lock_tiers(tx.connection, tier_ids=list(asked | held))


async def on_order_created(
    tx: Transaction, events: Sequence[Event[OrderCreatedV1]], settings: InventorySettings
) -> None:
    """Reserve places for new orders; give a known order the answer it was given before."""
    by_order = {event.data.order_id: event for event in events}
    known = await store.lock_holds(tx.connection, order_ids=list(by_order))
    for order_id, hold in known.items():
        _repeat_answer(tx, hold, by_order[order_id].traceparent)
    fresh = [
        event for order_id, event in by_order.items() if order_id not in known or known[order_id].status == "announced"
    ]
    if not fresh:
        return
    tier_ids = {line.tier_id for event in fresh for line in event.data.lines}
    tiers = await store.lock_tiers(tx.connection, tier_ids=list(tier_ids))
    requests = [StockRequest(event.data.order_id, event.data.lines) for event in fresh]
    limits = Limits(settings.max_total_kobo, settings.max_places)
    outcomes = decide_reservations(tiers, requests, now=tx.now, limits=limits)
    holds = [_new_hold(event, outcome) for event, outcome in zip(fresh, outcomes, strict=True)]
    written = await store.insert_holds(tx.connection, holds=holds, ask_after_seconds=settings.ask_hold_after_seconds)
    # A rival that wrote the same order between our look and our insert has reserved for it; we must not do so too.
    holds = [hold for hold in holds if hold.order_id in written]
    reserved = [hold for hold in holds if hold.status == "held"]
    await _move(tx, [movements_of(hold.places, RESERVE) for hold in reserved])
    for hold in holds:
        _repeat_answer(tx, hold, hold.traceparent)
    announced = [hold.order_id for hold in reserved if hold.order_id in known]
    if announced:
        await _sell(tx, announced)


async def on_stock_asked(tx: Transaction, events: Sequence[Event[StockAskedV1]]) -> None:
    """Say again what was reserved. Of an order that is not known here there is nothing to say yet."""
    known = await store.lock_holds(tx.connection, order_ids=[event.data.order_id for event in events])
    for hold in known.values():
        # Not in the trace of the click that asked: payments keeps the trace that the reservation brings.
        _repeat_answer(tx, hold, hold.traceparent)


async def on_order_paid(tx: Transaction, events: Sequence[Event[OrderPaidV1]]) -> None:
    """Held places become sold ones."""
    order_ids = list({event.data.order_id for event in events})
    await _keep_unheard(tx, order_ids, status="announced")
    await _sell(tx, order_ids)


async def on_order_ended(tx: Transaction, events: Sequence[Event[OrderExpiredV1 | OrderCancelledV1]]) -> None:
    """Held places become available again, all of them."""
    order_ids = list({event.data.order_id for event in events})
    await _keep_unheard(tx, order_ids, status="released")
    ended = await store.end_holds(tx.connection, order_ids=order_ids, status="released")
    await _move(tx, [movements_of(hold.places, RELEASE) for hold in ended])


async def on_order_refunded(tx: Transaction, events: Sequence[Event[OrderRefundedV1]]) -> None:
    """Sold places come back. Each message carries totals, so an older or repeated one adds nothing."""
    await _keep_unheard(tx, list({event.data.order_id for event in events}), status="announced")
    totals: dict[UUID, dict[UUID, int]] = {}
    for event in events:
        total = totals.setdefault(event.data.order_id, {})
        for line in event.data.lines:
            total[line.tier_id] = max(line.quantity, total.get(line.tier_id, 0))
    sold = await store.set_to_return(tx.connection, totals=totals)
    await _return(tx, sold)


async def on_cancellation_started(tx: Transaction, events: Sequence[Event[CancellationStartedV1]]) -> None:
    """Orders has heard that these events are cancelled."""
    await store.mark_cancellations_heard(tx.connection, event_ids=sorted({event.data.event_id for event in events}))


async def _keep_unheard(tx: Transaction, order_ids: Sequence[UUID], *, status: str) -> None:
    known = await store.lock_holds(tx.connection, order_ids=order_ids)
    unheard = [order_id for order_id in order_ids if order_id not in known]
    if unheard:
        await store.insert_facts(tx.connection, order_ids=unheard, status=status)


async def _sell(tx: Transaction, order_ids: Sequence[UUID]) -> None:
    sold = await store.end_holds(tx.connection, order_ids=order_ids, status="sold")
    await _move(tx, [movements_of(hold.places, SELL) for hold in sold])
    await _return(tx, [hold for hold in sold if hold.to_return])


async def _return(tx: Transaction, holds: Sequence[EndedHold]) -> None:
    due = {hold.order_id: decide_return(hold.places, hold.to_return, hold.returned) for hold in holds}
    totals = {hold.order_id: _sum(hold.returned, due[hold.order_id]) for hold in holds}
    changed = {order_id: totals[order_id] for order_id, places in due.items() if places}
    if changed:
        await store.mark_returned(tx.connection, totals=changed)
    await _move(tx, [movements_of(places.items(), RETURN) for places in due.values()])
    for hold in holds:
        total = sorted(totals[hold.order_id].items())
        lines = tuple(ReturnedStock(tier_id=tier_id, quantity=places) for tier_id, places in total)
        tx.emit(StockReturnedV1(order_id=hold.order_id, lines=lines), traceparent=hold.traceparent)


async def _move(tx: Transaction, parts: Iterable[Mapping[UUID, Movement]]) -> None:
    movements = merge_movements(parts)
    if not movements:
        return
    for tier in await store.move_stock(tx.connection, movements=movements):
        emit_tier_changed(tx, tier)


def emit_tier_changed(tx: Transaction, tier: Tier) -> None:
    """Give out the public view of a changed stock row."""
    tx.emit(TierChangedV1(tier_id=tier.id, version=tier.version, event=tier.event, tier=tier.view()))


def emit_reserved(tx: Transaction, hold: Hold, traceparent: str | None) -> None:
    """Give out the reservation of a hold, as it was made."""
    names = ("order_id", "reference", "email", "event", "lines", "total_kobo", "currency", "expires_at")
    fields: dict[str, Any] = {name: getattr(hold, name) for name in names}
    # Not validated again: every value was when it came in, and this is the hottest path there is.
    tx.emit(StockReservedV1.model_construct(**fields), traceparent=traceparent)


def _repeat_answer(tx: Transaction, hold: Hold, traceparent: str | None) -> None:
    if hold.status in {"held", "sold"}:
        emit_reserved(tx, hold, traceparent)
    elif hold.status == "rejected":
        tx.emit(
            StockRejectedV1.model_validate({"order_id": hold.order_id, "reason": hold.reason, "tier_id": hold.tier_id}),
            traceparent=traceparent,
        )
    # A released hold's order has ended: there is nothing left to answer.


def _new_hold(event: Event[OrderCreatedV1], outcome: Reserved | Rejected) -> Hold:
    reserved = outcome if isinstance(outcome, Reserved) else None
    rejected = outcome if isinstance(outcome, Rejected) else None
    return Hold(
        order_id=event.data.order_id,
        status="held" if reserved else "rejected",
        reference=event.data.reference,
        email=event.data.email,
        event=reserved.event if reserved else None,
        lines=reserved.lines if reserved else (),
        total_kobo=reserved.total_kobo if reserved else None,
        currency=reserved.currency if reserved else None,
        reason=rejected.reason if rejected else None,
        tier_id=rejected.tier_id if rejected else None,
        expires_at=event.data.expires_at,
        to_return={},
        returned={},
        traceparent=event.traceparent,
    )


def _sum(first: Mapping[UUID, int], second: Mapping[UUID, int]) -> dict[UUID, int]:
    return {tier_id: first.get(tier_id, 0) + second.get(tier_id, 0) for tier_id in first.keys() | second.keys()}
