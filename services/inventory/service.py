"""Inventory put together."""

from services.inventory.handlers import make_handlers
from services.inventory.http import Routes
from services.inventory.loops import AskAboutHolds, TellCancellations
from services.inventory.settings import InventorySettings
from shared.http.timeline import timeline_route
from shared.postgres.queries import Queries
from shared.runtime.clock import Clock
from shared.runtime.loops import Loop
from shared.runtime.service import Service
from shared.runtime.settings import parse_roles


def build(settings: InventorySettings, clock: Clock | None = None) -> Service:
    """The service, not yet started."""
    service = Service("inventory", settings, clock=clock)
    service.consume(make_handlers(settings))
    roles = parse_roles(settings.admin_tokens)
    timeline = timeline_route(service.database, Queries("services.inventory")["list_timeline"], roles)
    service.serve([*Routes(service.transactions, roles, settings).all(), timeline])
    ask = AskAboutHolds(service.transactions, service.metrics, settings)
    service.add_loop(
        Loop("ask about holds", ask.run_once, interval_seconds=settings.ask_hold_after_seconds, clock=service.clock)
    )
    tell = TellCancellations(service.transactions, service.metrics, settings)
    service.add_loop(
        Loop("tell cancellations", tell.run_once, interval_seconds=settings.ask_again_seconds, clock=service.clock)
    )
    return service
