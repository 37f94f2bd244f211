"""What a replica hears: changes of orders and tiers, on an exclusive queue that goes away with it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import orjson
import structlog
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue
from pydantic import ValidationError

from services.gateway.catalogue import CatalogueCache
from services.gateway.watching import Watches
from shared.contracts.inventory import TierChangedV1
from shared.contracts.orders import OrderChangedV1
from shared.contracts.registry import CONSUMERS
from shared.messaging.link import BROKER_DOWN, Link
from shared.messaging.topology import Topology, declare_exchanges

_log = structlog.get_logger()

#: Messages the broker keeps for a replica that does not keep up. The oldest go first: what they say is read again.
MAX_QUEUE_LENGTH = 50_000


class Subscription:
    """Consumes without acknowledgements: nothing here is worth a redelivery, since a new connection reads again."""

    def __init__(
        self,
        url: str,
        topology: Topology,
        watches: Watches,
        catalogue: CatalogueCache,
        *,
        read_again: Callable[[], Awaitable[None]],
    ) -> None:
        self._topology = topology
        self._watches = watches
        self._catalogue = catalogue
        self._read_again = read_again
        self._queue: AbstractQueue | None = None
        self._reading: asyncio.Task[None] | None = None
        self._link = Link(
            url, "gateway subscription", set_up=self._set_up, tear_down=self._forget, publisher_confirms=False
        )

    @property
    def connected(self) -> asyncio.Event:
        """Set while changes come in."""
        return self._link.connected

    def start(self) -> None:
        """Begin to connect."""
        self._link.start()

    async def stop(self) -> None:
        """Close the connection; the queue goes with it."""
        await self._link.stop()
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    async def bind_again(self) -> None:
        """Re-assert the bindings; one that was removed is back afterwards."""
        queue = self._queue
        if queue is None:
            return
        try:
            async with asyncio.timeout(30):
                await self._bind(queue)
        except BROKER_DOWN:
            self._link.lose()

    async def _set_up(self, channel: AbstractChannel) -> None:
        await declare_exchanges(channel, self._topology)
        queue = await channel.declare_queue(
            exclusive=True,
            auto_delete=True,
            arguments={"x-max-length": MAX_QUEUE_LENGTH, "x-overflow": "drop-head"},
        )
        await self._bind(queue)
        await queue.consume(self._on_message, no_ack=True)
        self._queue = queue
        # Subscribed first, read second: what changed while nobody listened is seen, whatever the order of arrival.
        if self._reading is not None:
            self._reading.cancel()
        self._reading = asyncio.create_task(self._read(), name="gateway read again")

    async def _bind(self, queue: AbstractQueue) -> None:
        for model in CONSUMERS["gateway"]:
            await queue.bind(self._topology.exchange_of(model), routing_key=model.TYPE)

    def _forget(self) -> None:
        self._queue = None

    async def _read(self) -> None:
        try:
            await self._read_again()
        except Exception:  # noqa: BLE001 - waiters read for themselves in the end; the log has the traceback
            _log.exception("reading again after a new connection failed")

    async def _on_message(self, message: AbstractIncomingMessage) -> None:
        # No await in here, so that messages are taken in in the order in which they came.
        try:
            envelopes = orjson.loads(message.body)
            for envelope in envelopes:
                self._take(message.type or message.routing_key, envelope)
        except (orjson.JSONDecodeError, ValidationError, ValueError, KeyError, TypeError) as error:
            _log.warning("a message cannot be read", type=message.type, error=repr(error)[:300])

    def _take(self, message_type: str | None, envelope: dict[str, Any]) -> None:
        if message_type == OrderChangedV1.TYPE:
            # Every replica hears of every order; only what somebody here waits for is worth parsing.
            if self._watches.is_watched(UUID(envelope["subject"])):
                self._watches.tell(OrderChangedV1.model_validate_json(orjson.dumps(envelope["data"])))
        elif message_type == TierChangedV1.TYPE:
            self._catalogue.tell(TierChangedV1.model_validate_json(orjson.dumps(envelope["data"])))
