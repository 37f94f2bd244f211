"""The process around a service: signals, event loop, exit code."""

import asyncio
import signal
import sys
from collections.abc import Callable
from typing import Protocol, TypeVar

import structlog

from shared.runtime.logs import configure_logs
from shared.runtime.settings import ServiceSettings, load_settings

S = TypeVar("S", bound=ServiceSettings)

_log = structlog.get_logger()


class Startable(Protocol):
    """What can be run: a Service, or the gateway, which has no database."""

    async def start(self) -> None:
        """Begin."""

    async def stop(self) -> None:
        """Drain and close."""


def run_process(name: str, settings_class: type[S], build: Callable[[S], Startable]) -> int:
    """Settings, build, run until SIGTERM or SIGINT, drain.

    Returns the exit code: 0 after a drain, 1 when the service cannot listen or does not drain in time,
    2 when a setting is wrong or missing.
    """
    settings = load_settings(settings_class)
    if settings is None:
        return 2
    configure_logs(name, settings.log_level)
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(_serve(build, settings))
    except KeyboardInterrupt:
        return 0


async def _serve(build: Callable[[S], Startable], settings: S) -> int:
    asked_to_stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked_to_stop.set)
    service = build(settings)
    try:
        await service.start()
    except OSError as error:
        _log.error("cannot listen", host=settings.http_host, port=settings.http_port, error=str(error))
        return 1
    await asked_to_stop.wait()
    _log.info("draining", grace_seconds=settings.drain_seconds)
    try:
        async with asyncio.timeout(settings.drain_seconds + 15):
            await service.stop()
    except TimeoutError:
        _log.error("did not drain in time", grace_seconds=settings.drain_seconds)
        return 1
    return 0


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if sys.platform == "win32":
        return None
    import uvloop  # noqa: PLC0415 - there is no wheel for Windows

    return uvloop.new_event_loop
