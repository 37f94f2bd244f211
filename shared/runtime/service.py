"""A service put together from its parts: started in order, drained in order."""

import asyncio
from collections.abc import Sequence

import structlog

from shared.contracts.registry import ServiceName
from shared.http.routes import Route
from shared.http.server import MAX_BODY_BYTES, HttpServer
from shared.messaging import store
from shared.messaging.consumer import Consumer
from shared.messaging.handling import Handlers, Handling
from shared.messaging.publisher import Publisher
from shared.messaging.relay import Relay
from shared.messaging.topology import Topology
from shared.messaging.transaction import Transactions
from shared.postgres.database import Database
from shared.postgres.schema import wait_for_schema
from shared.runtime.clock import Clock, SystemClock
from shared.runtime.loops import Loop
from shared.runtime.metrics import Metrics
from shared.runtime.settings import DatabaseSettings

_log = structlog.get_logger()

#: Seconds between two looks at the outbox's backlog and at what is past its retention.
_UPKEEP_SECONDS = 15.0
#: Rows taken away by one statement of the upkeep.
_UPKEEP_ROWS = 5000


class Service:
    """A service with a database: pool, relay, consumer, loops, HTTP.

    Build it, then ``consume``, ``serve`` and ``add_loop`` what it does, then ``start``. Nothing is shared between two
    of them, so that tests run many in one process.
    """

    def __init__(self, name: ServiceName, settings: DatabaseSettings, *, clock: Clock | None = None) -> None:
        self.name = name
        self.settings = settings
        self.clock = clock or SystemClock()
        self.metrics = Metrics()
        self.topology = Topology(settings.namespace)
        self.database = Database(
            settings.database_url, application_name=f"boxoffice {name}", max_connections=settings.database_connections
        )
        self.publisher = Publisher(settings.amqp_url, name, self.topology)
        self.relay = Relay(self.database, self.publisher, self.metrics, poll_seconds=settings.poll_seconds)
        self.transactions = Transactions(self.database, self.topology, self.relay.wake)
        self.handling: Handling | None = None
        self.loops: list[Loop] = [
            Loop("upkeep", self._upkeep, interval_seconds=_UPKEEP_SECONDS),
            Loop("re-assert queues", self._reassert, interval_seconds=settings.reassert_seconds),
        ]
        #: What besides the database must be up before this replica calls itself ready.
        self.needs_broker = True
        self._consumer: Consumer | None = None
        self._http: HttpServer | None = None
        self._bring_up: asyncio.Task[None] | None = None
        self._is_up = asyncio.Event()
        self._draining = False

    def consume(self, handlers: Handlers) -> None:
        """Take in messages with these handlers."""
        self.handling = Handling(self.database, self.transactions, handlers, self.topology, self.metrics)
        self._consumer = Consumer(
            self.settings.amqp_url, self.name, self.topology, self.handling, self.publisher, self.metrics
        )

    def serve(self, routes: Sequence[Route] = (), *, max_body_bytes: int = MAX_BODY_BYTES) -> None:
        """Answer these routes, besides health, readiness, metrics and their documentation."""
        self._http = HttpServer(
            self.name,
            self.settings.http_host,
            self.settings.http_port,
            routes,
            metrics=self.metrics,
            why_not_ready=self.why_not_ready,
            max_body_bytes=max_body_bytes,
        )

    def add_loop(self, loop: Loop) -> Loop:
        """Run this loop while the service is up."""
        self.loops.append(loop)
        return loop

    @property
    def http(self) -> HttpServer:
        """The server with all routes; one with only health, readiness and metrics if nothing else is served."""
        if self._http is None:
            self.serve()
        assert self._http is not None
        return self._http

    @property
    def http_port(self) -> int:
        """The port in use."""
        return self.http.port

    async def start(self) -> None:
        """Listen, and bring everything else up in the background: an engine that is away is waited for."""
        await self.http.start()
        self.publisher.start()
        self._bring_up = asyncio.create_task(self._come_up(), name=f"{self.name} start")

    async def ready(self) -> None:
        """Return when everything is up. Give it a time-out."""
        await self._is_up.wait()

    async def stop(self) -> None:
        """Drain: take nothing new, finish what is begun, send what is committed, close. Bounded by the settings."""
        self._draining = True
        grace = self.settings.drain_seconds
        if self._bring_up is not None:
            self._bring_up.cancel()
            await asyncio.gather(self._bring_up, return_exceptions=True)
        if self._http is not None:
            await self._http.stop()
        if self._consumer is not None:
            await self._consumer.stop(grace * 0.5)
        await asyncio.gather(*(loop.stop(grace * 0.2) for loop in self.loops))
        await self.relay.stop(grace * 0.2)
        await self.publisher.stop()
        await self.database.close()
        _log.info("drained")

    async def why_not_ready(self) -> str | None:
        """What is missing before this replica can do its work; ``None`` when nothing is."""
        if self._draining:
            return "draining"
        if not await self.database.is_ready():
            return "PostgreSQL does not answer"
        if self.needs_broker and not self.publisher.connected.is_set():
            return "RabbitMQ is not connected"
        if self.needs_broker and self._consumer is not None and not self._consumer.connected.is_set():
            return "no messages come in from RabbitMQ"
        return None if self._is_up.is_set() or not self.needs_broker else "starting"

    async def _come_up(self) -> None:
        await self.database.open()
        await wait_for_schema(self.database, self.name)
        self.relay.start()
        if self._consumer is not None:
            self._consumer.start()
        for loop in self.loops:
            loop.start()
        await self.publisher.connected.wait()
        if self._consumer is not None:
            await self._consumer.connected.wait()
        self._is_up.set()
        _log.info("ready", port=self.http_port)

    async def _upkeep(self) -> float | None:
        async with self.database.acquire() as connection:
            self.metrics.backlog(*await store.get_outbox_backlog(connection))
            outbox = await store.delete_outbox_sent(
                connection, retention_seconds=self.settings.outbox_retention_seconds, limit=_UPKEEP_ROWS
            )
            inbox = await store.delete_inbox(
                connection, retention_seconds=self.settings.inbox_retention_seconds, limit=_UPKEEP_ROWS
            )
        return 0 if _UPKEEP_ROWS in {outbox, inbox} else None

    async def _reassert(self) -> float | None:
        await self.publisher.declare_again()
        return None
