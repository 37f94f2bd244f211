"""Publishing with confirms: the only way out of a service."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import aio_pika
import structlog
from aio_pika.abc import AbstractChannel, AbstractExchange, DeliveryMode
from aio_pika.exceptions import DeliveryError

from shared.messaging.cloudevents import CONTENT_TYPE
from shared.messaging.exceptions import NoAnswer, NotConfirmed, Refused
from shared.messaging.link import BROKER_DOWN, Link, only_own_cancellation
from shared.messaging.topology import Topology, declare_all

_log = structlog.get_logger()

#: Seconds to wait for the broker's confirm. Past it the outcome is unknown, never "failed".
CONFIRM_TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """One AMQP message, whole."""

    message_id: UUID
    type: str
    exchange: str
    routing_key: str
    body: bytes
    mandatory: bool = True
    content_type: str = CONTENT_TYPE
    headers: dict[str, Any] = field(default_factory=dict)


class Publisher:
    """A connection that only publishes: an alarm freezes publishing connections, and consumers must go on."""

    def __init__(self, url: str, name: str, topology: Topology) -> None:
        self._topology = topology
        self._exchanges: dict[str, AbstractExchange] = {}
        self._confirmed_at = float("-inf")
        self._link = Link(url, f"{name} publisher", set_up=self._set_up, tear_down=self._forget)

    @property
    def connected(self) -> asyncio.Event:
        """Set while messages can be published."""
        return self._link.connected

    def start(self) -> None:
        """Begin to connect."""
        self._link.start()

    async def stop(self) -> None:
        """Close the connection."""
        await self._link.stop()

    async def _set_up(self, channel: AbstractChannel) -> None:
        await declare_all(channel, self._topology)
        self._exchanges = {"": channel.default_exchange}
        for name in (self._topology.events, self._topology.commands):
            self._exchanges[name] = await channel.get_exchange(name, ensure=False)

    def _forget(self) -> None:
        self._exchanges = {}

    async def declare_again(self) -> None:
        """Re-assert every queue and binding; a binding that was removed is back afterwards."""
        if not self.connected.is_set():
            return
        try:
            with only_own_cancellation():
                # On a channel of its own: a refused declaration closes its channel, and publishing must go on.
                async with asyncio.timeout(60), self._link.own_channel() as channel:
                    await declare_all(channel, self._topology)
        except BROKER_DOWN as error:
            _log.warning("queues could not be asserted again", error=f"{type(error).__name__}: {error}")

    async def publish(self, message: OutgoingMessage, timeout_seconds: float = CONFIRM_TIMEOUT_SECONDS) -> None:
        """Publish and wait for the confirm.

        Raises Refused when the broker took it into no queue (nothing bound, or full), NotConfirmed when the outcome
        is unknown (NoAnswer when others are confirmed all the while). One ``message_id`` must never be published
        twice at the same time (aiormq would mix up returns).
        """
        exchange = self._exchanges.get(message.exchange)
        if exchange is None:
            raise NotConfirmed("not connected to RabbitMQ")
        try:
            with only_own_cancellation():
                async with asyncio.timeout(timeout_seconds):
                    await exchange.publish(_as_amqp(message), message.routing_key, mandatory=message.mandatory)
            self._confirmed_at = asyncio.get_running_loop().time()
        except DeliveryError as error:
            raise Refused(
                f"{message.type} to {message.exchange or 'the queue'} {message.routing_key}: {error}"
            ) from error
        except TimeoutError as error:
            # One queue without a leader must not cut off the others, so the connection is given up only when nothing
            # at all was confirmed meanwhile, as under an alarm.
            if self._confirmed_at < asyncio.get_running_loop().time() - timeout_seconds:
                self._link.lose()
                raise NotConfirmed(f"no confirm of anything within {timeout_seconds:g} seconds") from error
            raise NoAnswer(f"no confirm within {timeout_seconds:g} seconds") from error
        except BROKER_DOWN as error:
            self._link.lose()
            raise NotConfirmed(f"{type(error).__name__}: {error}") from error


def _as_amqp(message: OutgoingMessage) -> aio_pika.Message:
    return aio_pika.Message(
        message.body,
        message_id=str(message.message_id),
        type=message.type,
        content_type=message.content_type,
        delivery_mode=DeliveryMode.PERSISTENT,
        timestamp=datetime.now(UTC),
        headers=message.headers,
    )
