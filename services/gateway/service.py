"""The gateway put together: no ``Service``, since it has no database, but built from the same parts."""

import asyncio
from uuid import UUID
from zoneinfo import ZoneInfo

import structlog

from services.gateway.asking import Asking
from services.gateway.catalogue import CatalogueCache
from services.gateway.checkout import Desk
from services.gateway.client import ServiceClient, Unavailable
from services.gateway.commands import Commands
from services.gateway.domain import is_ended, is_known
from services.gateway.http import Api
from services.gateway.listening import Subscription
from services.gateway.metrics import GatewayMetrics
from services.gateway.settings import GatewaySettings
from services.gateway.storefront import Storefront, secure
from services.gateway.stream import Streams
from services.gateway.views import Links
from services.gateway.watching import Watches
from shared.contracts.gateway import CancelRequestedV1, CheckoutRequestedV1
from shared.contracts.registry import ServiceName
from shared.http.server import HttpServer
from shared.http.tokens import Tokens
from shared.messaging.publisher import Publisher
from shared.messaging.topology import Topology
from shared.runtime.clock import Clock, SystemClock
from shared.runtime.loops import Loop
from shared.runtime.metrics import Metrics

_log = structlog.get_logger()

NAME: ServiceName = "gateway"
#: Octets a request's body may have.
MAX_BODY_BYTES = 16 * 1024
#: Orders read at once after a new connection.
READS_AT_ONCE = 16
#: Seconds open checkouts may go on waiting after SIGTERM; they answer with what is known then.
LAST_WAIT_SECONDS = 2.5


class Gateway:
    """One replica. Build it, ``start``, ``ready``, ``stop``."""

    def __init__(self, settings: GatewaySettings, clock: Clock | None = None) -> None:
        self.settings = settings
        self.clock = clock or SystemClock()
        self.metrics = Metrics()
        self.topology = Topology(settings.namespace)
        self.publisher = Publisher(settings.amqp_url, NAME, self.topology)
        self.watches = Watches()
        self._figures = GatewayMetrics(self.metrics.registry)
        self.client = ServiceClient(
            orders_url=settings.orders_url,
            inventory_url=settings.inventory_url,
            token=settings.service_token.get_secret_value(),
            read_seconds=settings.read_seconds,
        )
        self.catalogue = CatalogueCache(self.client.list_events, keep_seconds=settings.catalogue_seconds)
        self.subscription = Subscription(
            settings.amqp_url, self.topology, self.watches, self.catalogue, read_again=self._read_watched
        )
        self._checkouts = self._commands(CheckoutRequestedV1)
        self._cancellations = self._commands(CancelRequestedV1)
        self.asking = Asking(
            self.watches,
            {
                CheckoutRequestedV1: (self._checkouts, is_known),
                CancelRequestedV1: (self._cancellations, is_ended),
            },
            self.metrics,
            first_seconds=settings.ask_again_seconds,
            most_seconds=settings.ask_again_most_seconds,
            for_seconds=settings.ask_again_for_seconds,
            limit=settings.unanswered_most,
            clock=self.clock,
        )
        self._figures.unanswered.set_function(lambda: len(self.asking))
        self._reassert = Loop(
            "re-assert queues", self._assert_again, interval_seconds=settings.reassert_seconds, clock=self.clock
        )
        self.http = self._serve()
        self._draining = False
        self._announcement: asyncio.Task[None] | None = None

    @property
    def http_port(self) -> int:
        """The port in use."""
        return self.http.port

    async def start(self) -> None:
        """Listen, and bring everything else up in the background. Raises OSError when the port is taken."""
        await self.client.open()
        try:
            await self.http.start()
        except OSError:
            await self.client.close()
            raise
        self.publisher.start()
        self.subscription.start()
        self._checkouts.start()
        self._cancellations.start()
        self.asking.loop.start()
        self._reassert.start()
        self._announcement = asyncio.create_task(self._announce(), name="gateway start")

    async def _announce(self) -> None:
        await self.ready()
        _log.info("ready", port=self.http_port)

    async def ready(self) -> None:
        """Return when commands go out and changes come in. Give it a time-out."""
        await self.publisher.connected.wait()
        await self.subscription.connected.wait()

    async def stop(self) -> None:
        """Drain: end streams, finish open checkouts, close. What was accepted is the broker's already."""
        self._draining = True
        if self._announcement is not None:
            self._announcement.cancel()
        self._streams.close()
        hurry = asyncio.get_running_loop().call_later(LAST_WAIT_SECONDS, self.watches.close)
        try:
            await self.http.stop()
        finally:
            hurry.cancel()
        await asyncio.gather(self.asking.loop.stop(1.0), self._reassert.stop(1.0))
        await asyncio.gather(self._checkouts.stop(5.0), self._cancellations.stop(5.0))
        await asyncio.gather(self.subscription.stop(), self.publisher.stop())
        await self.client.close()
        _log.info("drained")

    async def why_not_ready(self) -> str | None:
        """What is missing before this replica can do its work; ``None`` when nothing is."""
        if self._draining:
            return "draining"
        if not self.publisher.connected.is_set():
            return "RabbitMQ is not connected"
        if not self.subscription.connected.is_set():
            return "no changes come in from RabbitMQ"
        return None

    def _commands(self, model: type[CheckoutRequestedV1] | type[CancelRequestedV1]) -> Commands:
        return Commands(
            model,
            self.publisher,
            self.topology,
            self._figures.batch,
            confirm_seconds=self.settings.confirm_seconds,
        )

    def _serve(self) -> HttpServer:
        settings = self.settings
        links = Links(
            Tokens(settings.keys), public_url=settings.public_url, payments_public_url=settings.payments_public_url
        )
        desk = Desk(
            self.watches,
            self._checkouts,
            self._cancellations,
            self.asking,
            self.client,
            confirm_seconds=settings.confirm_seconds,
        )
        api = Api(settings, desk, self.client, self.catalogue, links, self._figures)
        self._streams = Streams(
            api,
            self.client,
            self.watches,
            self._figures,
            limit=settings.streams_most,
            heartbeat_seconds=settings.heartbeat_seconds,
        )
        storefront = Storefront(api, links, ZoneInfo(settings.timezone))
        routes = [*api.routes(), *self._streams.routes(), *storefront.routes()]
        server = HttpServer(
            NAME,
            settings.http_host,
            settings.http_port,
            routes,
            metrics=self.metrics,
            why_not_ready=self.why_not_ready,
            max_body_bytes=MAX_BODY_BYTES,
        )
        server.app.on_response_prepare.append(secure)
        return server

    async def _read_watched(self) -> None:
        """Read every order somebody waits for: its news may have come while nobody listened."""
        slots = asyncio.Semaphore(READS_AT_ONCE)

        async def read(order_id: UUID) -> None:
            async with slots:
                try:
                    view = await self.client.get_order(order_id)
                except Unavailable:
                    return
            if view is not None:
                self.watches.tell(view)

        await asyncio.gather(*(read(order_id) for order_id in self.watches.orders()))

    async def _assert_again(self) -> float | None:
        await self.publisher.declare_again()
        await self.subscription.bind_again()
        return None


def build(settings: GatewaySettings, clock: Clock | None = None) -> Gateway:
    """One replica with these settings."""
    return Gateway(settings, clock)
