"""The orders service put together."""

from services.orders.cancelling import CancelEvents
from services.orders.handlers import OrderHandlers
from services.orders.http import Routes
from services.orders.loops import AskAgain
from services.orders.settings import OrdersSettings
from shared.http.timeline import timeline_route
from shared.postgres.queries import Queries
from shared.runtime.clock import Clock
from shared.runtime.loops import Loop
from shared.runtime.service import Service
from shared.runtime.settings import parse_roles


def build(settings: OrdersSettings, clock: Clock | None = None) -> Service:
    """The service, not yet started."""
    service = Service("orders", settings, clock=clock)
    handlers = OrderHandlers(settings)
    ask = AskAgain(service.transactions, service.metrics, handlers, settings)
    service.add_loop(Loop("ask again", ask.run_once, interval_seconds=settings.ask_again_seconds, clock=service.clock))
    cancel = CancelEvents(service.transactions, handlers)
    loop = service.add_loop(
        Loop("cancel events", cancel.run_once, interval_seconds=settings.ask_again_seconds, clock=service.clock)
    )
    handlers.wake_cancelling = loop.wake
    service.consume(handlers.all())
    roles = parse_roles(settings.admin_tokens) | {settings.service_token.get_secret_value(): "service"}
    timeline = timeline_route(service.database, Queries("services.orders")["list_timeline"], roles)
    service.serve([*Routes(service.transactions, handlers, roles).all(), timeline])
    return service
