"""One connection to RabbitMQ that is kept up: connect, set up, wait until it is lost, pause, again.

A plain connection and this loop, not a self-healing one: what is set up anew is in one place, and nothing is
restored behind our back with delivery tags of a channel that is gone.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from random import random

import aio_pika
import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection
from aiormq.exceptions import AMQPError

_log = structlog.get_logger()

#: What an absent, restarting or refusing broker raises while we connect or talk to it.
BROKER_DOWN: tuple[type[BaseException], ...] = (
    ConnectionError,
    OSError,
    TimeoutError,
    AMQPError,
    aio_pika.exceptions.AMQPException,
    asyncio.InvalidStateError,
    RuntimeError,
)

#: Seconds between heartbeats; a dead peer is noticed within two of them.
HEARTBEAT_SECONDS = 15
CONNECT_TIMEOUT_SECONDS = 15.0
#: Seconds for all declarations of one set-up: thirty quorum queues on a loaded disk.
SET_UP_TIMEOUT_SECONDS = 60.0


@contextmanager
def only_own_cancellation() -> Iterator[None]:
    """Turn a CancelledError that nobody asked for into a ConnectionError.

    aiormq gives one to whoever waits on a connection that is closed meanwhile, and it would end our task in silence.
    """
    try:
        yield
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise ConnectionResetError("the connection was closed meanwhile") from None


class Link:
    """Keeps one connection with one channel. ``set_up`` runs on each new channel before ``connected`` is set."""

    def __init__(
        self,
        url: str,
        name: str,
        *,
        set_up: Callable[[AbstractChannel], Awaitable[None]],
        tear_down: Callable[[], None] = lambda: None,
        publisher_confirms: bool = True,
    ) -> None:
        self._url = url
        self._name = name
        self._set_up = set_up
        self._tear_down = tear_down
        self._publisher_confirms = publisher_confirms
        self._lost = asyncio.Event()
        self._connection: AbstractConnection | None = None
        self._stopping = False
        self._task: asyncio.Task[None] | None = None
        #: Set while the connection is up and set up.
        self.connected = asyncio.Event()

    def start(self) -> None:
        """Begin to connect, in the background."""
        self._task = asyncio.create_task(self._run(), name=f"link {self._name}")

    def lose(self) -> None:
        """Give the connection up: something on it is beyond repair. A new one is made."""
        self._lost.set()

    @asynccontextmanager
    async def own_channel(self) -> AsyncIterator[AbstractChannel]:
        """A second channel, whose errors leave the first alone. Raises what ``BROKER_DOWN`` lists."""
        if self._connection is None:
            raise ConnectionError("not connected to RabbitMQ")
        channel = await self._connection.channel()
        try:
            yield channel
        finally:
            await channel.close()

    async def stop(self) -> None:
        """Close the connection, in at most 5 seconds."""
        self._stopping = True
        self._lost.set()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        pause = 0.2
        while not self._stopping:
            self._lost.clear()
            try:
                with only_own_cancellation():
                    await self._connect()
                self.connected.set()
                pause = 0.2
                _log.info("connected to RabbitMQ", connection=self._name)
                await self._lost.wait()
            except BROKER_DOWN as error:
                _log.warning("waiting for RabbitMQ", connection=self._name, error=f"{type(error).__name__}: {error}")
            except Exception:  # noqa: BLE001 - a link that ended would leave a service that looks alive and is deaf
                _log.exception("connecting to RabbitMQ failed", connection=self._name)
            finally:
                self.connected.clear()
                self._tear_down()
                connection, self._connection = self._connection, None
                await _close(connection)
            if not self._stopping:
                # Full jitter, so that all replicas do not come back in one instant.
                await asyncio.sleep(pause * (0.5 + random()))  # noqa: S311 - spreads load, guards nothing
                pause = min(pause * 2, 5.0)

    async def _connect(self) -> None:
        async with asyncio.timeout(CONNECT_TIMEOUT_SECONDS):
            self._connection = await aio_pika.connect(
                self._url,
                client_properties={"connection_name": self._name},
                heartbeat=HEARTBEAT_SECONDS,
            )
        async with asyncio.timeout(SET_UP_TIMEOUT_SECONDS):
            channel = await self._connection.channel(
                publisher_confirms=self._publisher_confirms, on_return_raises=self._publisher_confirms
            )
            # Watched before it is set up, so that no loss goes unseen.
            self._watch(channel, await channel.get_underlay_channel())
            await self._set_up(channel)

    def _watch(self, channel: AbstractChannel, underlay: object) -> None:
        channel.close_callbacks.add(lambda *_: self._lost.set())

        def cancelled(*_: object) -> None:
            _log.warning("the broker cancelled our consumer", connection=self._name)
            self._lost.set()

        underlay.on_consumer_cancel_callbacks.add(cancelled)  # type: ignore[attr-defined]


async def _close(connection: AbstractConnection | None) -> None:
    if connection is None:
        return
    try:
        with only_own_cancellation():
            async with asyncio.timeout(5):
                await connection.close()
    except BROKER_DOWN as error:
        _log.debug("a connection did not close in order", error=str(error))
