"""What the orders service does with each message: lock, decide, write, give out."""

import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from services.orders import store
from services.orders.domain import Decision, decide, decide_block, note_dispute
from services.orders.domain_messages import order_created, questions_of, view
from services.orders.domain_order import Details, Order
from services.orders.settings import OrdersSettings
from shared.contracts.base import Message, OrderMessage
from shared.contracts.gateway import CheckoutRequestedV1
from shared.contracts.inventory import EventCancelledV1
from shared.contracts.orders import CancellationStartedV1
from shared.contracts.payments import DisputeChangedV1
from shared.contracts.registry import CONSUMERS
from shared.messaging.cloudevents import Event
from shared.messaging.handling import Handler, Handlers
from shared.messaging.transaction import Transaction

#: No character that looks like another: 0 O, 1 I L.
REFERENCE_ALPHABET = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
REFERENCE_LENGTH = 6
#: Tries for references that nobody has. With 887 million of them, two in a row are taken once in a very long while.
REFERENCE_TRIES = 5


class OrderHandlers:
    """The handlers, with the settings they need."""

    def __init__(self, settings: OrdersSettings) -> None:
        self._settings = settings
        #: The loop that gives the orders of a cancelled event their turn.
        self.wake_cancelling: Callable[[], None] | None = None

    def all(self) -> Handlers:
        """Every type this service takes in, in the order in which one transaction handles them."""
        by_type: dict[type[Message], Handler] = dict.fromkeys(CONSUMERS["orders"], self.on_message)
        by_type[CheckoutRequestedV1] = self.on_checkout_requested
        by_type[EventCancelledV1] = self.on_event_cancelled
        return Handlers("orders", by_type, self.lock_rows)

    async def lock_rows(self, tx: Transaction, events: Sequence[Event[Message]]) -> None:
        """Lock all orders of the batch before any is decided on."""
        order_ids = [event.data.order_id for event in events if isinstance(event.data, OrderMessage)]
        await store.lock_orders(tx.connection, order_ids=order_ids)

    async def on_event_cancelled(self, tx: Transaction, events: Sequence[Event[EventCancelledV1]]) -> None:
        """Keep it and say so; the orders get their turn from a loop, which can begin and stop anywhere."""
        first = {event.data.event_id: event for event in reversed(events)}
        await store.insert_cancelled_events(tx.connection, events=[event.data for event in first.values()])
        for event in first.values():
            tx.emit(CancellationStartedV1(event_id=event.data.event_id), traceparent=event.traceparent)
        if self.wake_cancelling is not None:
            tx.after_commit(self.wake_cancelling)

    async def on_checkout_requested(self, tx: Transaction, events: Sequence[Event[CheckoutRequestedV1]]) -> None:
        """Create orders. A repeated request changes nothing and is told how its order stands."""
        by_order = {event.data.order_id: event for event in reversed(events)}
        added = await self._insert(tx, by_order)
        for order in added.values():
            tx.emit(order_created(order), traceparent=order.traceparent)
        repeated = [order_id for order_id in by_order if order_id not in added]
        known = await store.lock_orders(tx.connection, order_ids=repeated) if repeated else {}
        for order_id, order in known.items():
            tx.emit(view(order), traceparent=by_order[order_id].traceparent)
        await self.meet_early_messages(tx, added)

    async def on_message(self, tx: Transaction, events: Sequence[Event[OrderMessage]]) -> None:
        """Apply messages about orders; what is about an order nobody knows yet is kept for it."""
        orders = await store.lock_orders(tx.connection, order_ids=[event.data.order_id for event in events])
        unknown = [event for event in events if event.data.order_id not in orders]
        if unknown:
            await store.insert_early_messages(tx.connection, events=unknown)
        messages = [(event.data, event.traceparent) for event in events if event.data.order_id in orders]
        await self.apply(tx, orders, messages)

    async def meet_early_messages(self, tx: Transaction, orders: dict[UUID, Order]) -> None:
        """Apply what was heard of these locked orders before they were known."""
        if orders:
            await self.apply(tx, orders, await store.take_early_messages(tx.connection, order_ids=list(orders)))

    async def apply(
        self, tx: Transaction, orders: dict[UUID, Order], messages: Iterable[tuple[OrderMessage, str | None]]
    ) -> None:
        """Decide on each message in turn, then write every order once, and give out what was decided."""
        states = dict(orders)
        for message, traceparent in messages:
            decision = decide(states[message.order_id], message, now=tx.now)
            if isinstance(message, DisputeChangedV1):
                if self._settings.on_dispute == "block":
                    decide_block(decision)
                note_dispute(decision, message)
            states[message.order_id] = decision.order
            for outgoing in decision.messages:
                tx.emit(outgoing, traceparent=traceparent)
        await self.write(tx, [(orders[order_id], state) for order_id, state in states.items()])

    async def decide_one(self, tx: Transaction, order: Order, decision: Decision) -> Order:
        """Write one decision that no message asked for, and give it out."""
        for outgoing in decision.messages:
            tx.emit(outgoing, traceparent=order.traceparent)
        (written,) = await self.write(tx, [(order, decision.order)]) or [order]
        return written

    async def write(self, tx: Transaction, changes: Sequence[tuple[Order, Order]]) -> list[Order]:
        """Write the orders that changed, each with a new version, when it asks again, and its public view."""
        written = [(old, self._next_version(old, new, tx.now)) for old, new in changes if old != new]
        await store.write_orders(tx.connection, changes=written)
        for old, new in written:
            if view(old) != view(replace(new, version=old.version)):
                tx.emit(view(new), traceparent=new.traceparent)
        return [new for _, new in written]

    def _next_version(self, old: Order, new: Order, now: datetime) -> Order:
        questions = questions_of(new)
        if not questions:
            ask_at = None
        elif questions == questions_of(old):
            return replace(new, version=old.version + 1)
        elif questions == ("deadline",):
            ask_at = new.expires_at + timedelta(seconds=self._settings.remind_after_deadline_seconds)
        else:
            ask_at = now + timedelta(seconds=self._settings.ask_again_seconds)
        return replace(new, version=old.version + 1, ask_at=ask_at, asks=0)

    async def _insert(self, tx: Transaction, by_order: dict[UUID, Event[CheckoutRequestedV1]]) -> dict[UUID, Order]:
        """Add the orders that are new. One whose reference is taken gets another, within the same transaction."""
        added: dict[UUID, Order] = {}
        missing = sorted(by_order)
        for _ in range(REFERENCE_TRIES):
            new = [_new_order(by_order[order_id], tx.now) for order_id in missing]
            added |= await store.insert_orders(
                tx.connection,
                orders=new,
                pay_within_seconds=self._settings.pay_within_seconds,
                ask_after_seconds=self._settings.ask_again_seconds,
            )
            missing = [order_id for order_id in missing if order_id not in added]
            if missing:
                known = await store.lock_orders(tx.connection, order_ids=missing)
                missing = [order_id for order_id in missing if order_id not in known]
            if not missing:
                return added
        raise RuntimeError(f"no free reference found in {REFERENCE_TRIES} tries")


def _new_order(event: Event[CheckoutRequestedV1], now: datetime) -> Order:
    # The times are set by the statement, from the database's clock.
    return Order(
        order_id=event.data.order_id,
        reference="".join(secrets.choice(REFERENCE_ALPHABET) for _ in range(REFERENCE_LENGTH)),
        status="pending",
        version=1,
        email=event.data.email,
        request_hash=event.data.request_hash,
        created_at=now,
        expires_at=now,
        details=Details(items=event.data.items),
        traceparent=event.traceparent,
    )
