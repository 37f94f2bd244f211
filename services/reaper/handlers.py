"""What the reaper does with each message it takes in."""

from collections.abc import Callable, Sequence
from datetime import datetime

from services.reaper import store
from services.reaper.store import Deadline
from shared.contracts.base import Message, OrderMessage
from shared.contracts.orders import OrderCreatedV1
from shared.contracts.registry import CONSUMERS
from shared.messaging.cloudevents import Event
from shared.messaging.handling import Handler, Handlers
from shared.messaging.transaction import Transaction


def make_handlers(notice: Callable[[datetime], None]) -> Handlers:
    """All handlers. ``notice`` is told the earliest deadline of each batch, once it is committed."""

    async def on_order_created(tx: Transaction, events: Sequence[Event[OrderCreatedV1]]) -> None:
        """Keep the deadline."""
        deadlines = {
            event.data.order_id: Deadline(event.data.order_id, event.data.expires_at, event.traceparent)
            for event in events
        }
        await store.insert_deadlines(tx.connection, deadlines=deadlines)
        earliest = min(event.data.expires_at for event in events)
        tx.after_commit(lambda: notice(earliest))

    by_type: dict[type[Message], Handler] = dict.fromkeys(CONSUMERS["reaper"], on_order_ended)
    by_type[OrderCreatedV1] = on_order_created
    return Handlers("reaper", by_type, lock_rows)


async def lock_rows(tx: Transaction, events: Sequence[Event[OrderMessage]]) -> None:
    """Lock all deadlines the batch is about."""
    await store.lock_deadlines(tx.connection, order_ids=[event.data.order_id for event in events])


async def on_order_ended(tx: Transaction, events: Sequence[Event[OrderMessage]]) -> None:
    """However it ended, there is nothing more to say about it."""
    await store.end_deadlines(tx.connection, order_ids=list({event.data.order_id for event in events}))
