"""One transaction on a service's database, and what it gives out."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import UUID

from shared.contracts.base import Message
from shared.messaging import store
from shared.messaging.cloudevents import Event, encode_batches
from shared.messaging.publisher import OutgoingMessage
from shared.messaging.topology import Topology, is_mandatory
from shared.postgres.database import Connection, Database
from shared.runtime.ids import new_id
from shared.runtime.trace import child_of


class Transaction:
    """What a handler works with: the connection, the database's clock, and a place for outgoing events."""

    def __init__(self, connection: Connection) -> None:
        #: The connection, inside the transaction.
        self.connection = connection
        self._now: datetime | None = None
        self._events: dict[type[Message], list[Event[Message]]] = {}
        self._messages: list[tuple[OutgoingMessage, int, bool]] = []
        self._after_commit: list[Callable[[], None]] = []

    @property
    def now(self) -> datetime:
        """The database's clock at the transaction's start. Asserts that it was read (``read_now``)."""
        assert self._now is not None, "the clock of this transaction was not read"
        return self._now

    async def read_now(self) -> datetime:
        """Read the database's clock; handlers of messages find it read already."""
        if self._now is None:
            self._now = await store.get_now(self.connection)
        return self._now

    async def claim_inbox(self, message_ids: Sequence[UUID]) -> frozenset[UUID]:
        """Which of these messages had no effect yet; they are taken by this transaction. Reads the clock too."""
        self._now, claimed = await store.claim_inbox(self.connection, message_ids=message_ids)
        return claimed

    def emit(self, data: Message, *, traceparent: str | None = None) -> None:
        """Give out one event at commit, in the trace of ``traceparent``. Events of one type share messages."""
        event = Event(id=new_id(), time=datetime.now(UTC), data=data, traceparent=child_of(traceparent))
        self._events.setdefault(type(data), []).append(event)

    def send(self, message: OutgoingMessage, *, event_count: int, suspect: bool) -> None:
        """Give out one finished message at commit: the split parts of another."""
        self._messages.append((message, event_count, suspect))

    def after_commit(self, call: Callable[[], None]) -> None:
        """Run ``call`` once the transaction is committed, and never otherwise: to wake a loop."""
        if call not in self._after_commit:
            self._after_commit.append(call)

    async def write_outbox(self, topology: Topology) -> bool:
        """Write what was emitted as outbox rows; returns whether there was any."""
        rows = [*self._messages, *self._batches(topology)]
        if rows:
            await store.insert_outbox(self.connection, messages=rows)
        return bool(rows)

    def run_after_commit(self) -> None:
        """Run what waits for the commit."""
        for call in self._after_commit:
            call()

    def _batches(self, topology: Topology) -> list[tuple[OutgoingMessage, int, bool]]:
        return [
            (as_message(model, topology, body), event_count, False)
            for model, events in self._events.items()
            for body, event_count in encode_batches(events)
        ]


def as_message(model: type[Message], topology: Topology, body: bytes) -> OutgoingMessage:
    """The AMQP message of one encoded batch of ``model``, under a new id."""
    return OutgoingMessage(
        message_id=new_id(),
        type=model.TYPE,
        exchange=topology.exchange_of(model),
        routing_key=model.TYPE,
        body=body,
        mandatory=is_mandatory(model.TYPE),
    )


class Transactions:
    """Begins transactions, and wakes the relay in this process when one that gave something out has committed."""

    def __init__(self, database: Database, topology: Topology, wake_relay: Callable[[], None]) -> None:
        self._database = database
        self._topology = topology
        self._wake_relay = wake_relay

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Transaction]:
        """A READ COMMITTED transaction; leaving the block commits, an exception rolls back."""
        async with self._database.acquire() as connection:
            async with connection.transaction():
                transaction = Transaction(connection)
                yield transaction
                has_messages = await transaction.write_outbox(self._topology)
            if has_messages:
                self._wake_relay()
            transaction.run_after_commit()
