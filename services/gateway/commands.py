"""Publishing commands as group commit does: those who come while a message is on its way share the next one."""

import asyncio
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime

import structlog

from shared.contracts.base import Message
from shared.messaging.cloudevents import MAX_BYTES, MAX_EVENTS, Event, encode_event
from shared.messaging.exceptions import MessagingError, NotConfirmed
from shared.messaging.publisher import Publisher
from shared.messaging.topology import Topology
from shared.messaging.transaction import as_message
from shared.runtime.ids import new_id
from shared.runtime.trace import child_of

_log = structlog.get_logger()

#: Messages on their way at once. With more, each would hold fewer events and the broker would write more often.
IN_FLIGHT = 3
#: Commands that may wait for a free message.
MAX_WAITING = 20_000
#: Seconds a command waits for a connection that is just being made anew.
RECONNECT_SECONDS = 1.0


class Overloaded(MessagingError):
    """More commands wait than may; this one was not taken."""


class Commands:
    """Publishes commands of one type. A lone command goes out at once; no timer is involved."""

    def __init__(
        self,
        model: type[Message],
        publisher: Publisher,
        topology: Topology,
        on_batch: Callable[[str, int], None],
        *,
        confirm_seconds: float,
    ) -> None:
        self._model = model
        self._publisher = publisher
        self._topology = topology
        self._on_batch = on_batch
        self._confirm_seconds = confirm_seconds
        self._waiting: deque[tuple[bytes, asyncio.Future[None]]] = deque()
        self._arrived = asyncio.Event()
        self._stopping = False
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to publish."""
        name = f"commands {self._model.TYPE}"
        self._tasks = [asyncio.create_task(self._run(), name=name) for _ in range(IN_FLIGHT)]

    async def stop(self, timeout_seconds: float) -> None:
        """Send what waits, within ``timeout_seconds``; what is left then was never confirmed to anybody."""
        self._stopping = True
        self._arrived.set()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout_seconds)
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
        while self._waiting:
            _settle(self._waiting.popleft()[1], NotConfirmed("the gateway stopped"))

    def send(self, data: Message, traceparent: str | None) -> "asyncio.Future[None]":
        """Publish one command. The future is done at the broker's confirm, or raises Refused or NotConfirmed.

        Raises Overloaded at once where too many wait. A cancelled future is not sent if it still waits.
        """
        if self._stopping or len(self._waiting) >= MAX_WAITING:
            raise Overloaded("too many requests wait for the broker")
        event = Event(id=new_id(), time=datetime.now(UTC), data=data, traceparent=child_of(traceparent))
        confirmed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        # Whoever gave up waiting is not there to fetch an error.
        confirmed.add_done_callback(lambda future: future.cancelled() or future.exception())
        self._waiting.append((encode_event(event), confirmed))
        self._arrived.set()
        return confirmed

    async def _run(self) -> None:
        while True:
            while not self._waiting:
                if self._stopping:
                    return
                self._arrived.clear()
                await self._arrived.wait()
            # Requests that this same turn of the event loop serves come along.
            await asyncio.sleep(0)
            parts, waiters = self._take()
            if parts:
                await self._publish(parts, waiters)

    def _take(self) -> tuple[list[bytes], list["asyncio.Future[None]"]]:
        parts: list[bytes] = []
        waiters: list[asyncio.Future[None]] = []
        size = 2
        while self._waiting and len(parts) < MAX_EVENTS and size + len(self._waiting[0][0]) + 1 <= MAX_BYTES:
            part, waiter = self._waiting.popleft()
            if not waiter.cancelled():
                parts.append(part)
                waiters.append(waiter)
                size += len(part) + 1
        return parts, waiters

    async def _publish(self, parts: list[bytes], waiters: list["asyncio.Future[None]"]) -> None:
        error: Exception | None = None
        try:
            message = as_message(self._model, self._topology, b"[" + b",".join(parts) + b"]")
            await self._connected()
            await self._publisher.publish(message, self._confirm_seconds)
            self._on_batch(self._model.TYPE, len(parts))
        except MessagingError as known:
            error = known
        except asyncio.CancelledError:
            error = NotConfirmed("the gateway stopped")
            raise
        except Exception as unknown:  # noqa: BLE001 - a sender that ended would strand every checkout after it
            _log.exception("a batch of commands failed", type=self._model.TYPE, events=len(parts))
            error = NotConfirmed(f"{type(unknown).__name__}: {unknown}")
        finally:
            for waiter in waiters:
                _settle(waiter, error)

    async def _connected(self) -> None:
        try:
            async with asyncio.timeout(RECONNECT_SECONDS):
                await self._publisher.connected.wait()
        except TimeoutError:
            raise NotConfirmed("not connected to RabbitMQ") from None


def _settle(waiter: "asyncio.Future[None]", error: Exception | None) -> None:
    if waiter.done():
        return
    if error is None:
        waiter.set_result(None)
    else:
        waiter.set_exception(error)
