"""The reaper put together."""

from services.reaper.handlers import make_handlers
from services.reaper.loops import Reaper
from services.reaper.settings import ReaperSettings
from shared.http.timeline import timeline_route
from shared.postgres.queries import Queries
from shared.runtime.clock import Clock
from shared.runtime.loops import Loop
from shared.runtime.service import Service
from shared.runtime.settings import parse_roles


def build(settings: ReaperSettings, clock: Clock | None = None) -> Service:
    """The service, not yet started."""
    service = Service("reaper", settings, clock=clock)
    reaper = Reaper(service.transactions, service.metrics, settings)
    loop = service.add_loop(Loop("reap", reaper.run_once, interval_seconds=settings.wake_seconds, clock=service.clock))
    service.add_loop(Loop("forget", reaper.forget, interval_seconds=3600))
    reaper.wake = loop.wake
    service.consume(make_handlers(reaper.notice))
    roles = parse_roles(settings.admin_tokens)
    service.serve([timeline_route(service.database, Queries("services.reaper")["list_timeline"], roles)])
    return service
