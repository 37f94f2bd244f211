"""Starts an engine again that ended while the stack runs."""

import asyncio
from collections.abc import Callable
from urllib.parse import urlsplit

from deploy.local.engines import Engine, EngineName, Engines
from deploy.local.errors import LocalError
from deploy.local.status import ProcessRecord

LOOK_SECONDS = 0.5
PAUSE_AFTER_FAILURE_SECONDS = 10.0


class EngineWatch:
    """Looks at our own engines until it is told to stop. Services wait for an engine that is away."""

    def __init__(self, engines: Engines, say: Callable[[str], None], changed: Callable[[], None]) -> None:
        self._engines = engines
        self._say = say
        self._changed = changed
        self._restarts: dict[EngineName, int] = dict.fromkeys(engines.by_name(), 0)

    def records(self) -> tuple[ProcessRecord, ...]:
        """The engines as they are now, for the record of the stack."""
        return tuple(self._record(name, engine) for name, engine in self._engines.by_name().items())

    async def run(self, stop: asyncio.Event) -> None:
        """Look again and again; returns soon after `stop` is set."""
        while not await _is_set_within(stop, LOOK_SECONDS):
            for name, engine in self._engines.by_name().items():
                if engine.has_ended():
                    await self._start_again(name, engine, stop)

    async def _start_again(self, name: EngineName, engine: Engine, stop: asyncio.Event) -> None:
        self._say(f"{name} ended by itself; it starts again with its data.")
        self._changed()
        try:
            await asyncio.to_thread(engine.start)
        except LocalError as error:
            self._say(str(error))
            await _is_set_within(stop, PAUSE_AFTER_FAILURE_SECONDS)
        else:
            self._restarts[name] += 1
        self._changed()

    def _record(self, name: EngineName, engine: Engine) -> ProcessRecord:
        condition = "pausing" if engine.has_ended() else "running"
        port = urlsplit(engine.url).port
        return ProcessRecord(name, condition, engine.pid, port, "", self._restarts[name])


async def _is_set_within(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False
