"""A service's queue: take what waits, handle it as one, answer once."""

import asyncio
from collections import deque
from datetime import UTC, datetime

import structlog
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from shared.contracts.registry import ServiceName
from shared.messaging.delivery import (
    FAILED_AT_HEADER,
    ORIGIN_HEADER,
    REASON_HEADER,
    TRIES_HEADER,
    Delivery,
    message_id_of,
)
from shared.messaging.exceptions import NotConfirmed, Refused
from shared.messaging.handling import Done, Handling
from shared.messaging.link import BROKER_DOWN, Link, only_own_cancellation
from shared.messaging.publisher import OutgoingMessage, Publisher
from shared.messaging.store import SUSPECT_HEADER
from shared.messaging.topology import Topology, declare_service
from shared.messaging.verdicts import DeadLetter, Postpone, Retry
from shared.runtime.metrics import Metrics

_log = structlog.get_logger()

#: Messages the broker hands out before it waits for our answer. A crash counts against all of them at once.
PREFETCH = 50
#: Events one transaction handles at most, so that locks are held for tens of milliseconds.
MAX_MERGED_EVENTS = 1000


class Consumer:
    """Consumes one queue on a connection of its own."""

    def __init__(
        self,
        url: str,
        service: ServiceName,
        topology: Topology,
        handling: Handling,
        publisher: Publisher,
        metrics: Metrics,
    ) -> None:
        self._service = service
        self._topology = topology
        self._handling = handling
        self._publisher = publisher
        self._metrics = metrics
        self._waiting: deque[tuple[Delivery, AbstractIncomingMessage]] = deque()
        self._arrived = asyncio.Event()
        self._channel: AbstractChannel | None = None
        self._stopping = False
        self._task: asyncio.Task[None] | None = None
        self._link = Link(
            url, f"{service} consumer", set_up=self._set_up, tear_down=self._forget, publisher_confirms=False
        )

    @property
    def connected(self) -> asyncio.Event:
        """Set while messages come in."""
        return self._link.connected

    def start(self) -> None:
        """Begin to connect and to handle."""
        self._link.start()
        self._task = asyncio.create_task(self._run(), name=f"{self._service} consumer")

    async def stop(self, timeout_seconds: float) -> None:
        """Take no more, finish what is being handled, answer it, close.

        What was handed out and not begun goes back to the queue with the channel. Returns within ``timeout_seconds``
        and the five seconds a connection may take to close; a transaction that is still running then is rolled back.
        """
        self._stopping = True
        self._arrived.set()
        if self._task is not None:
            _, running = await asyncio.wait([self._task], timeout=timeout_seconds)
            for task in running:
                task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._link.stop()

    async def _set_up(self, channel: AbstractChannel) -> None:
        await declare_service(channel, self._topology, self._service)
        await channel.set_qos(prefetch_count=PREFETCH)
        queue = await channel.get_queue(self._topology.queue(self._service), ensure=False)
        self._channel = channel
        await queue.consume(self._on_message)

    def _forget(self) -> None:
        # Tags of a lost channel mean nothing on the next one: the broker will hand these messages out again.
        self._channel = None
        self._waiting.clear()

    async def _on_message(self, message: AbstractIncomingMessage) -> None:
        # Only taken note of: what runs inside this callback is cancelled with the connection, in mid-transaction.
        delivery = Delivery(
            message_id=message_id_of(message.message_id, message.body),
            type=message.type or message.routing_key or "",
            content_type=message.content_type,
            body=message.body,
            headers=dict(message.headers),
            tag=message.delivery_tag or 0,
        )
        self._waiting.append((delivery, message))
        self._arrived.set()

    async def _run(self) -> None:
        while not self._stopping:
            await self._arrived.wait()
            self._arrived.clear()
            while self._waiting and not self._stopping:
                try:
                    with only_own_cancellation():
                        await self._handle_waiting()
                except Exception:  # noqa: BLE001 - a consumer that ended would leave its queue to grow in silence
                    _log.exception("the consumer failed; what it had in hand will come again")
                    self._link.lose()
                    await asyncio.sleep(1)

    def _take(self) -> list[tuple[Delivery, AbstractIncomingMessage]]:
        taken = [self._waiting.popleft()]
        events = taken[0][0].event_count
        while self._waiting and events + self._waiting[0][0].event_count <= MAX_MERGED_EVENTS:
            taken.append(self._waiting.popleft())
            events += taken[-1][0].event_count
        return taken

    async def _handle_waiting(self) -> None:
        channel = self._channel
        taken = self._take()
        deliveries = [delivery for delivery, _ in taken]
        # Alone in its acknowledgement: if a suspect ends the process, its neighbours are already answered.
        groups = _groups(deliveries)
        for group in groups:
            outcomes = await self._handling.handle(group)
            for delivery, outcome in zip(group, outcomes, strict=True):
                if not isinstance(outcome, Done):
                    await self._pass_on(delivery, outcome)
            await self._acknowledge(channel, group[-1].tag)

    async def _pass_on(self, delivery: Delivery, outcome: Retry | Postpone | DeadLetter) -> None:
        """Publish a failed message to its retry tier or as a dead letter, and wait for the confirm.

        Only then is it acknowledged; a crash between the two makes a duplicate, which the inbox absorbs.
        """
        headers: dict[str, object] = {
            TRIES_HEADER: delivery.tries - 1 if isinstance(outcome, Postpone) else delivery.tries,
            FAILED_AT_HEADER: datetime.now(UTC).isoformat(),
            ORIGIN_HEADER: self._topology.queue(self._service),
        }
        if delivery.is_suspect:
            headers[SUSPECT_HEADER] = True
        if isinstance(outcome, Retry | Postpone):
            target = self._topology.retry_queue(self._service, outcome.after_seconds)
            self._metrics.retried(delivery.type)
        else:
            target = self._topology.dead_queue(self._service)
            headers[REASON_HEADER] = outcome.reason
            self._metrics.dead(delivery.type)
        message = OutgoingMessage(
            message_id=delivery.message_id,
            type=delivery.type,
            exchange="",
            routing_key=target,
            body=delivery.body,
            content_type=delivery.content_type or "application/octet-stream",
            headers=headers,
        )
        while True:
            await self._publisher.connected.wait()
            try:
                await self._publisher.publish(message)
            except (NotConfirmed, Refused) as error:
                _log.warning("a failed message cannot be passed on yet", target=target, error=str(error))
                await asyncio.sleep(1)
            else:
                return

    async def _acknowledge(self, channel: AbstractChannel | None, tag: int) -> None:
        if channel is None or channel is not self._channel:
            return  # The channel is gone; the messages will come again, and the inbox knows them.
        try:
            with only_own_cancellation():
                async with asyncio.timeout(5):
                    underlay = await channel.get_underlay_channel()
                    await underlay.basic_ack(tag, multiple=True)
        except BROKER_DOWN as error:
            _log.info("an acknowledgement was lost; the messages will come again", error=str(error))
            # Without this they would come again only when the broker loses patience, half an hour later.
            self._link.lose()


def _groups(deliveries: list[Delivery]) -> list[list[Delivery]]:
    """What is handled and acknowledged as one: neighbours that are not suspect; each suspect is alone."""
    groups: list[list[Delivery]] = []
    for delivery in deliveries:
        if groups and not delivery.is_suspect and not groups[-1][-1].is_suspect:
            groups[-1].append(delivery)
        else:
            groups.append([delivery])
    return groups
