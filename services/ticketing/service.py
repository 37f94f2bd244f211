"""Ticketing, put together."""

from services.ticketing.checkins import CheckIns, WatchAdmissions
from services.ticketing.gate_http import MAX_BODY_BYTES, GateRoutes
from services.ticketing.handlers import TicketingHandlers
from services.ticketing.http import TicketingRoutes
from services.ticketing.packing import Doors, HashCodes, Packs, PublishPacks
from services.ticketing.reissuing import Reissuing
from services.ticketing.settings import TicketingSettings
from services.ticketing.signing import Signer
from shared.contracts.orders import BlockRequestedV1, OrderPaidV1, RevokeRequestedV1
from shared.http.timeline import timeline_route
from shared.messaging.handling import Handlers
from shared.postgres.queries import Queries
from shared.runtime.clock import Clock
from shared.runtime.loops import Loop
from shared.runtime.service import Service

#: Seconds between two counts of conflicts.
WATCH_SECONDS = 15.0


def build(settings: TicketingSettings, clock: Clock | None = None) -> Service:
    """The service, not yet started."""
    service = Service("ticketing", settings, clock=clock)
    signer = Signer(settings)
    handlers = TicketingHandlers(signer)
    service.consume(
        Handlers(
            "ticketing",
            {
                OrderPaidV1: handlers.on_order_paid,
                RevokeRequestedV1: handlers.on_revoke_requested,
                BlockRequestedV1: handlers.on_block_requested,
            },
            handlers.lock_rows,
        )
    )
    doors = Doors(settings)
    checkins = CheckIns(service.transactions, signer, doors, service.metrics)
    hashing = HashCodes(service.transactions)
    publishing = PublishPacks(service.transactions, signer, doors, settings, service.metrics)
    watching = WatchAdmissions(service.transactions, checkins, service.metrics)
    every = settings.gate_publish_seconds
    service.add_loop(Loop("hash codes", hashing.run_once, interval_seconds=every, clock=service.clock))
    service.add_loop(Loop("publish packs", publishing.run_once, interval_seconds=every, clock=service.clock))
    service.add_loop(Loop("watch admissions", watching.run_once, interval_seconds=WATCH_SECONDS, clock=service.clock))
    reissuing = Reissuing(
        service.transactions,
        signer,
        pause_seconds=settings.ask_again_seconds,
        most_pause_seconds=settings.ask_again_most_seconds,
    )
    service.add_loop(
        Loop("say again", reissuing.say_again, interval_seconds=settings.ask_again_seconds, clock=service.clock)
    )
    tickets = TicketingRoutes(service.database, signer, reissuing, settings.roles_by_token)
    gates = GateRoutes(service.transactions, checkins, Packs(service.database, signer), settings)
    timeline = timeline_route(service.database, Queries("services.ticketing")["list_timeline"], settings.roles_by_token)
    service.serve([*tickets.routes(), *gates.routes(), timeline], max_body_bytes=MAX_BODY_BYTES)
    return service
