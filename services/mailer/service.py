"""The mailer, put together."""

from services.mailer.handlers import MailerHandlers
from services.mailer.http import Routes
from services.mailer.loops import Sender
from services.mailer.metrics import MailMetrics
from services.mailer.rendering import Renderer
from services.mailer.settings import MailerSettings
from shared.contracts.orders import OrderExpiredV1
from shared.contracts.payments import PaymentRefundedV1, RefundFailedV1, RefundStartedV1
from shared.contracts.ticketing import TicketsIssuedV1
from shared.http.timeline import timeline_route
from shared.messaging.handling import Handlers
from shared.postgres.queries import Queries
from shared.runtime.clock import Clock
from shared.runtime.loops import Loop
from shared.runtime.service import Service
from shared.runtime.settings import parse_roles


def build(settings: MailerSettings, clock: Clock | None = None) -> Service:
    """The service, not yet started."""
    service = Service("mailer", settings, clock=clock)
    sender = Sender(
        service.database, service.transactions, Renderer(settings), MailMetrics(service.metrics.registry), settings
    )
    loop = service.add_loop(
        Loop("send mail", sender.run_once, interval_seconds=settings.poll_seconds, clock=service.clock)
    )
    handlers = MailerHandlers(loop.wake)
    service.consume(
        Handlers(
            "mailer",
            {
                TicketsIssuedV1: handlers.on_tickets_issued,
                OrderExpiredV1: handlers.on_order_expired,
                RefundStartedV1: handlers.on_refund,
                PaymentRefundedV1: handlers.on_refund,
                RefundFailedV1: handlers.on_refund,
            },
        )
    )
    roles = parse_roles(settings.admin_tokens)
    routes = Routes(service.transactions, roles, loop.wake)
    timeline = timeline_route(service.database, Queries("services.mailer")["list_timeline"], roles)
    service.serve([*routes.all(), timeline])
    return service
