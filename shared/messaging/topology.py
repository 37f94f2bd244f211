"""Exchanges and queues: their names, and how they are declared.

Per service: a quorum queue, delayed retry tiers that lead back to it, and a dead-letter queue. Declaring is
idempotent; every service declares the queues and bindings of all, so that what one of them publishes waits for
another that has never been started.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from aio_pika.abc import AbstractChannel, ExchangeType

from shared.contracts.base import Message
from shared.contracts.registry import CONSUMERS, MESSAGES, SERVICES, ServiceName

#: Pauses of the retry tiers in seconds. One queue for each: a queue expires messages only at its head.
RETRY_TIERS_SECONDS: tuple[int, ...] = (1, 10, 60)
#: The broker's own limit on redeliveries, a last resort: the consumer splits and dead-letters long before.
DELIVERY_LIMIT = 20
#: Octets a queue may hold before the broker refuses more; the relay then backs off.
MAX_QUEUE_BYTES = 512 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Topology:
    """All names, under one namespace, so that several systems can share a broker."""

    namespace: str = "boxoffice"

    @property
    def events(self) -> str:
        """Topic exchange of facts."""
        return f"{self.namespace}.events"

    @property
    def commands(self) -> str:
        """Direct exchange of requests."""
        return f"{self.namespace}.commands"

    def exchange_of(self, model: type[Message]) -> str:
        """The exchange a message is published to; its routing key is its type."""
        return self.commands if model.COMMAND else self.events

    def queue(self, service: ServiceName) -> str:
        """The queue of one service."""
        return f"{self.namespace}.{service}"

    def retry_queue(self, service: ServiceName, seconds: int) -> str:
        """The queue in which a message waits ``seconds`` before it comes back."""
        return f"{self.namespace}.{service}.retry.{seconds}s"

    def dead_queue(self, service: ServiceName) -> str:
        """The queue of messages that were given up, each with its reason in ``x-reason``."""
        return f"{self.namespace}.{service}.dead"

    def queues(self) -> Iterator[str]:
        """Every durable queue."""
        for service in durable_consumers():
            yield self.queue(service)
            yield self.dead_queue(service)
            yield from (self.retry_queue(service, seconds) for seconds in RETRY_TIERS_SECONDS)


def durable_consumers() -> tuple[ServiceName, ...]:
    """The services with a queue of their own. The gateway listens on an exclusive queue for each replica instead."""
    return tuple(service for service in SERVICES if service != "gateway")


def is_mandatory(message_type: str) -> bool:
    """Whether a message nobody's queue takes is a fault. What only a running gateway hears may go unheard."""
    model = MESSAGES.get(message_type)
    return model is None or any(model in CONSUMERS[service] for service in durable_consumers())


async def declare_exchanges(channel: AbstractChannel, topology: Topology) -> None:
    """Declare both exchanges."""
    await channel.declare_exchange(topology.events, ExchangeType.TOPIC, durable=True)
    await channel.declare_exchange(topology.commands, ExchangeType.DIRECT, durable=True)


async def declare_all(channel: AbstractChannel, topology: Topology) -> None:
    """Declare everything durable. A queue that exists with other arguments raises ChannelPreconditionFailed."""
    await declare_exchanges(channel, topology)
    for service in durable_consumers():
        await declare_service(channel, topology, service)


async def declare_service(channel: AbstractChannel, topology: Topology, service: ServiceName) -> None:
    """Declare one service's queues and bind its own."""
    # Retry and dead-letter queues first: nothing may fail before there is a place for it.
    await channel.declare_queue(topology.dead_queue(service), durable=True, arguments={"x-queue-type": "quorum"})
    for seconds in RETRY_TIERS_SECONDS:
        await channel.declare_queue(
            topology.retry_queue(service, seconds),
            durable=True,
            arguments={
                "x-queue-type": "quorum",
                "x-message-ttl": seconds * 1000,
                "x-overflow": "reject-publish",
                **_dead_lettering_to(topology.queue(service)),
            },
        )
    queue = await channel.declare_queue(
        topology.queue(service),
        durable=True,
        arguments={
            "x-queue-type": "quorum",
            "x-delivery-limit": DELIVERY_LIMIT,
            "x-overflow": "reject-publish",
            "x-max-length-bytes": MAX_QUEUE_BYTES,
            **_dead_lettering_to(topology.dead_queue(service)),
        },
    )
    for model in CONSUMERS[service]:
        await queue.bind(topology.exchange_of(model), routing_key=model.TYPE)


def _dead_lettering_to(queue: str) -> dict[str, str]:
    # At-least-once needs reject-publish on the source; the default would lose messages while they move.
    return {
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": queue,
        "x-dead-letter-strategy": "at-least-once",
    }
