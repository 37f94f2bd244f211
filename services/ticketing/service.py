"""Ticketing, put together."""

from services.ticketing.handlers import TicketingHandlers
from services.ticketing.http import TicketingRoutes
from services.ticketing.settings import TicketingSettings
from services.ticketing.signing import Signer
from shared.contracts.orders import OrderPaidV1, RevokeRequestedV1
from shared.messaging.handling import Handlers
from shared.runtime.clock import Clock
from shared.runtime.service import Service


def build(settings: TicketingSettings, clock: Clock | None = None) -> Service:
    """The service, not yet started."""
    service = Service("ticketing", settings, clock=clock)
    signer = Signer(settings)
    handlers = TicketingHandlers(signer)
    service.consume(
        Handlers(
            "ticketing",
            {OrderPaidV1: handlers.on_order_paid, RevokeRequestedV1: handlers.on_revoke_requested},
            handlers.lock_rows,
        )
    )
    service.serve(TicketingRoutes(service.database, signer, settings.roles_by_token).routes())
    return service
