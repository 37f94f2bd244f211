"""Run services and their handlers in tests, on the real engines."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar
from uuid import UUID

import aio_pika
import asyncpg
from aio_pika.abc import AbstractIncomingMessage
from aio_pika.exceptions import ChannelNotFoundEntity

from shared.contracts.base import Message
from shared.messaging.cloudevents import CONTENT_TYPE, Event, decode_batch, encode_batches
from shared.messaging.delivery import Delivery
from shared.messaging.handling import Done, Outcome
from shared.messaging.topology import Topology, declare_all
from shared.runtime.ids import new_id
from shared.runtime.service import Service
from shared.runtime.trace import child_of

M = TypeVar("M", bound=Message)

#: Seconds for anything a test waits for; only ever spent when the test fails.
PATIENCE_SECONDS = 30.0


#: Puts a line into the summary at the end of the run.
Note = Callable[[str], None]


class Running(Protocol):
    """A service, or the gateway."""

    async def start(self) -> None: ...
    async def ready(self) -> None: ...
    async def stop(self) -> None: ...


@asynccontextmanager
async def running(*services: Running) -> AsyncIterator[None]:
    """Start all, wait until all are ready, and drain them in the end, last started first."""
    async with AsyncExitStack() as stack:
        for service in services:
            stack.push_async_callback(service.stop)
            await service.start()
        async with asyncio.timeout(PATIENCE_SECONDS):
            await asyncio.gather(*(service.ready() for service in services))
        yield


def event_of(data: M) -> Event[M]:
    """One event, as its producer would give it out."""
    return Event(id=new_id(), time=datetime.now(UTC), data=data, traceparent=child_of(None))


def delivery_of(*data: Message, message_id: UUID | None = None, headers: dict[str, Any] | None = None) -> Delivery:
    """One message with these events, all of one type, as the broker would deliver it."""
    ((body, _),) = encode_batches([event_of(one) for one in data])
    return Delivery(
        message_id=message_id or new_id(),
        type=data[0].TYPE,
        content_type=CONTENT_TYPE,
        body=body,
        headers=headers or {},
    )


class Bench:
    """A service's real handlers on its real database, without a broker: what goes in, what comes out.

    ``async with Bench(build(settings)) as bench`` opens the pool and nothing else; its outbox is never relayed.
    """

    def __init__(self, service: Service) -> None:
        self.service = service
        self._seen = 0

    async def __aenter__(self) -> Self:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self.service.database.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.service.database.close()

    async def outcomes(self, *deliveries: Delivery) -> list[Outcome]:
        """Handle these messages as one."""
        assert self.service.handling is not None, f"{self.service.name} consumes nothing"
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self.service.handling.handle(deliveries)

    async def deliver(self, *data: Message) -> None:
        """Deliver each as a message of its own, one after the other; all must be handled."""
        for one in data:
            assert await self.outcomes(delivery_of(one)) == [Done()], one

    async def deliver_batch(self, *data: Message) -> None:
        """Deliver all, of one type, as one message; it must be handled."""
        assert await self.outcomes(delivery_of(*data)) == [Done()]

    async def given_out(self, *models: type[M]) -> list[M]:
        """What was given out since the last call of this (of these types only, if any are named), in order."""
        rows = await self.fetch("SELECT id, type, body FROM outbox WHERE id > $1 ORDER BY id", self._seen)
        self._seen = max([self._seen, *(row["id"] for row in rows)])
        events = [event for row in rows for event in decode_batch(row["body"], CONTENT_TYPE, row["type"])]
        return [event.data for event in events if not models or isinstance(event.data, models)]  # type: ignore[misc]

    async def fetch(self, statement: str, *arguments: object) -> list[asyncpg.Record]:
        """Rows of the service's database."""
        async with self.service.database.acquire() as connection:
            return list(await connection.fetch(statement, *arguments))

    async def value(self, statement: str, *arguments: object) -> Any:
        """One value of the service's database."""
        async with self.service.database.acquire() as connection:
            return await connection.fetchval(statement, *arguments)


async def move_clock(admin_url: str, seconds: float) -> None:
    """Let one database's ``app_now()`` go ahead by ``seconds`` (of the true time, not of an earlier move).

    ``admin_url`` is ``templates.admin(url)``: a service's own role cannot change functions.
    """
    connection = await asyncpg.connect(admin_url)
    try:
        await connection.execute(
            "CREATE OR REPLACE FUNCTION app_now() RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE "
            f"AS 'SELECT now() + interval ''{seconds} seconds'''"
        )
    finally:
        await connection.close()


class Wire:
    """A plain client of the broker: publishes any message, and overhears all events of some types."""

    def __init__(self, amqp_url: str, namespace: str) -> None:
        self._url = amqp_url
        self.topology = Topology(namespace)
        self._connection: aio_pika.abc.AbstractConnection | None = None
        self._channel: aio_pika.abc.AbstractChannel | None = None

    async def __aenter__(self) -> Self:
        async with asyncio.timeout(PATIENCE_SECONDS):
            self._connection = await aio_pika.connect(self._url)
            self._channel = await self._connection.channel()
            await declare_all(self._channel, self.topology)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._connection is not None
        await self._connection.close()

    @property
    def channel(self) -> aio_pika.abc.AbstractChannel:
        """The channel."""
        assert self._channel is not None
        return self._channel

    async def publish(self, *data: Message, message_id: UUID | None = None) -> None:
        """Publish events of one type as one message, to where its producer would."""
        ((body, _),) = encode_batches([event_of(one) for one in data])
        exchange = self.topology.exchange_of(type(data[0]))
        await self.publish_raw(body, exchange=exchange, routing_key=data[0].TYPE, message_id=message_id)

    async def publish_raw(
        self,
        body: bytes,
        *,
        exchange: str,
        routing_key: str,
        message_type: str | None = None,
        message_id: UUID | str | None = None,
        content_type: str = CONTENT_TYPE,
        headers: dict[str, Any] | None = None,
    ) -> None:
        """Publish any octets."""
        target = (
            self.channel.default_exchange if exchange == "" else await self.channel.get_exchange(exchange, ensure=False)
        )
        message = aio_pika.Message(
            body,
            message_id=str(message_id or new_id()),
            type=message_type or routing_key,
            content_type=content_type,
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            headers=headers or {},
        )
        await target.publish(message, routing_key, timeout=PATIENCE_SECONDS)

    async def overhear(self, *models: type[Message]) -> "asyncio.Queue[Message]":
        """A queue that from now on receives every event of these types."""
        heard: asyncio.Queue[Message] = asyncio.Queue()
        queue = await self.channel.declare_queue(exclusive=True, auto_delete=True)
        for model in models:
            await queue.bind(self.topology.exchange_of(model), routing_key=model.TYPE)

        async def on_message(message: AbstractIncomingMessage) -> None:
            for event in decode_batch(message.body, message.content_type, message.type):
                heard.put_nowait(event.data)

        await queue.consume(on_message, no_ack=True)
        return heard

    async def depth(self, queue: str) -> int:
        """Messages that are ready in a queue."""
        declared = await self.channel.declare_queue(queue, passive=True)
        return declared.declaration_result.message_count or 0

    async def dead_letters(self, queue: str, limit: int = 1000) -> Sequence[AbstractIncomingMessage]:
        """Take everything out of a dead-letter queue, up to ``limit``."""
        source = await self.channel.get_queue(queue)
        taken: list[AbstractIncomingMessage] = []
        while len(taken) < limit and (message := await source.get(fail=False)) is not None:
            await message.ack()
            taken.append(message)
        return taken


def new_namespace() -> str:
    """A name no other test uses."""
    return f"t{secrets.token_hex(5)}"


async def delete_namespace(amqp_url: str, namespace: str) -> None:
    """Remove all queues and exchanges of a namespace."""
    topology = Topology(namespace)
    connection = await aio_pika.connect(amqp_url)
    try:
        channel = await connection.channel()
        for queue in topology.queues():
            try:
                await channel.queue_delete(queue)
            except ChannelNotFoundEntity:
                channel = await connection.channel()
        for exchange in (topology.events, topology.commands):
            await channel.exchange_delete(exchange)
    finally:
        await connection.close()
