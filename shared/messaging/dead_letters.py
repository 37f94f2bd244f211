"""Dead letters for an operator: read, sent back to their service, or thrown away.

A dead-letter queue is gone through from head to tail, once: what is kept is published again at its tail and confirmed
before the original is acknowledged. Reading by "get, then put back" would count as a failed delivery, and RabbitMQ 4
takes messages of a quorum queue away after twenty of those: whoever looked too often would lose what he looked at.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID

import aio_pika
import orjson
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue, DeliveryMode
from aio_pika.exceptions import ChannelNotFoundEntity
from aiormq.exceptions import ChannelLockedResource

from shared.contracts.registry import ServiceName
from shared.messaging.delivery import FAILED_AT_HEADER, REASON_HEADER, TRIES_HEADER, message_id_of
from shared.messaging.exceptions import MessagingError
from shared.messaging.link import BROKER_DOWN
from shared.messaging.store import SUSPECT_HEADER
from shared.messaging.topology import Topology

#: Letters of one service that are read at most; those behind them stay where they are.
MOST_LETTERS = 10_000
#: Letters that are in hand at once.
CHUNK = 100
CONNECT_SECONDS = 15.0
#: Seconds for one answer of the broker.
ANSWER_SECONDS = 15.0

Fate = Literal["keep", "replay", "discard"]


class DeadLettersBusy(MessagingError):
    """Somebody else is going through the dead letters of this service."""


class BrokerAway(MessagingError):
    """RabbitMQ cannot be reached, or does not answer."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One message that was given up."""

    service: ServiceName
    message_id: UUID
    type: str
    body: bytes
    content_type: str | None
    headers: Mapping[str, Any]

    @property
    def reason(self) -> str:
        """Why it was given up; the broker's own reason where it was the broker that gave up."""
        said = self.headers.get(REASON_HEADER)
        return str(said) if said else self._reason_of_broker()

    def _reason_of_broker(self) -> str:
        deaths = self.headers.get("x-death")
        if isinstance(deaths, list) and deaths and isinstance(deaths[0], dict):
            return f"given up by RabbitMQ: {deaths[0].get('reason', 'unknown')}"
        return "unknown"

    @property
    def tries(self) -> int | None:
        """How often its handling was tried, where that was counted."""
        tries = self.headers.get(TRIES_HEADER)
        return tries if isinstance(tries, int) else None

    @property
    def failed_at(self) -> datetime | None:
        """When it was given up."""
        said = self.headers.get(FAILED_AT_HEADER)
        if isinstance(said, str):
            try:
                moment = datetime.fromisoformat(said)
            except ValueError:
                return None
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        deaths = self.headers.get("x-death")
        if isinstance(deaths, list) and deaths and isinstance(deaths[0], dict):
            time = deaths[0].get("time")
            return time.astimezone(UTC) if isinstance(time, datetime) else None
        return None

    @property
    def document(self) -> Any:
        """The body as JSON; its text, with what is no text replaced, where it is none."""
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return self.body.decode("utf-8", "replace")

    @property
    def order_ids(self) -> tuple[str, ...]:
        """The orders it speaks of, as far as it can be read."""
        document = self.document
        envelopes = document if isinstance(document, list) else [document]
        data = (one.get("data") for one in envelopes if isinstance(one, dict))
        ids = (one.get("order_id") for one in data if isinstance(one, dict))
        return tuple(dict.fromkeys(one for one in ids if isinstance(one, str)))


def age_order(letter: DeadLetter) -> datetime:
    """Sorts letters oldest first; those without a time come before all others."""
    return letter.failed_at or datetime.min.replace(tzinfo=UTC)


Decide = Callable[[DeadLetter], Fate]


@asynccontextmanager
async def dead_letters(amqp_url: str, namespace: str) -> AsyncIterator["DeadLetters"]:
    """A connection for going through dead letters. Raises BrokerAway."""
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            connection = await aio_pika.connect(amqp_url, client_properties={"connection_name": "dead letters"})
    except BROKER_DOWN as error:
        raise BrokerAway(f"RabbitMQ does not let us in: {str(error) or type(error).__name__}") from error
    try:
        yield DeadLetters(connection, Topology(namespace))
    finally:
        await connection.close()


class DeadLetters:
    """The dead-letter queues of one system."""

    def __init__(self, connection: aio_pika.abc.AbstractConnection, topology: Topology) -> None:
        self._connection = connection
        self._topology = topology

    async def count(self, service: ServiceName) -> int:
        """How many wait. Raises BrokerAway."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS), self._connection.channel() as channel:
                queue = await channel.declare_queue(self._topology.dead_queue(service), passive=True)
                return queue.declaration_result.message_count or 0
        except ChannelNotFoundEntity:
            return 0
        except BROKER_DOWN as error:
            raise BrokerAway(f"RabbitMQ does not answer: {error}") from error

    async def go_through(self, service: ServiceName, decide: Decide) -> list[tuple[DeadLetter, Fate]]:
        """Every letter of a service with what became of it, oldest first.

        ``decide`` is called once for each, before anything happens to it. A crash in between leaves a letter twice,
        never not at all; the next time the second one is dropped. Raises DeadLettersBusy and BrokerAway.
        """
        try:
            async with self._locked(service), self._connection.channel(on_return_raises=True) as channel:
                done = await self._go_through(channel, service, decide)
        except ChannelNotFoundEntity:
            return []
        except BROKER_DOWN as error:
            raise BrokerAway(f"RabbitMQ does not answer: {str(error) or type(error).__name__}") from error
        return sorted(done, key=lambda one: one[0].failed_at or datetime.min.replace(tzinfo=UTC))

    @asynccontextmanager
    async def _locked(self, service: ServiceName) -> AsyncIterator[None]:
        """Hold the queue against a second reader, whose half of the letters would be missing here.

        An exclusive queue is the lock: the broker refuses it to another connection, and removes it with this one.
        """
        name = f"{self._topology.dead_queue(service)}.lock"
        async with asyncio.timeout(ANSWER_SECONDS):
            channel = await self._connection.channel()
            try:
                lock = await channel.declare_queue(name, exclusive=True, auto_delete=True)
            except ChannelLockedResource:
                raise DeadLettersBusy(
                    f"somebody else is going through the dead letters of {service}; try again"
                ) from None
        try:
            yield
        finally:
            async with asyncio.timeout(ANSWER_SECONDS):
                await lock.delete(if_unused=False, if_empty=False)
                await channel.close()

    async def _go_through(
        self, channel: AbstractChannel, service: ServiceName, decide: Decide
    ) -> list[tuple[DeadLetter, Fate]]:
        async with asyncio.timeout(ANSWER_SECONDS):
            queue = await channel.declare_queue(self._topology.dead_queue(service), passive=True)
        left = min(queue.declaration_result.message_count or 0, MOST_LETTERS)
        done: list[tuple[DeadLetter, Fate]] = []
        seen: set[tuple[UUID, datetime | None, bytes]] = set()
        while left > 0 and (messages := await _take(queue, min(CHUNK, left))):
            left -= len(messages)
            sent = []
            for message in messages:
                letter = _read(service, message)
                key = (letter.message_id, letter.failed_at, letter.body)
                if key in seen:
                    continue
                seen.add(key)
                fate = decide(letter)
                done.append((letter, fate))
                if fate != "discard":
                    sent.append(self._send(channel, letter, fate))
            # All confirmed first. Whatever goes wrong before the acknowledgement leaves the originals in the queue.
            async with asyncio.timeout(ANSWER_SECONDS):
                await asyncio.gather(*sent)
                await messages[-1].ack(multiple=True)
        return done

    async def _send(self, channel: AbstractChannel, letter: DeadLetter, fate: Fate) -> None:
        back = fate == "replay"
        target = self._topology.queue(letter.service) if back else self._topology.dead_queue(letter.service)
        message = aio_pika.Message(
            letter.body,
            message_id=str(letter.message_id),
            type=letter.type,
            content_type=letter.content_type,
            delivery_mode=DeliveryMode.PERSISTENT,
            timestamp=datetime.now(UTC),
            headers=_headers_for_replay(letter.headers) if back else _headers_to_keep(letter.headers),
        )
        await channel.default_exchange.publish(message, target, mandatory=True)


async def _take(queue: AbstractQueue, most: int) -> Sequence[AbstractIncomingMessage]:
    taken: list[AbstractIncomingMessage] = []
    async with asyncio.timeout(ANSWER_SECONDS):
        while len(taken) < most and (message := await queue.get(fail=False)) is not None:
            taken.append(message)
    return taken


def _read(service: ServiceName, message: AbstractIncomingMessage) -> DeadLetter:
    return DeadLetter(
        service=service,
        message_id=message_id_of(message.message_id, message.body),
        type=message.type or "",
        body=message.body,
        content_type=message.content_type,
        headers=dict(message.headers),
    )


def _headers_to_keep(headers: Mapping[str, Any]) -> dict[str, Any]:
    # The broker counts deliveries of each message anew.
    return {name: value for name, value in headers.items() if name != "x-delivery-count"}


def _headers_for_replay(headers: Mapping[str, Any]) -> dict[str, Any]:
    """All tries are given again. What may end its process goes on being handled alone."""
    return {SUSPECT_HEADER: True} if headers.get(SUSPECT_HEADER) else {}
