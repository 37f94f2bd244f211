"""``python -m deploy.sandbox``: serve until SIGTERM or SIGINT. Exit code 2 for a wrong setting, 1 for no start."""

import asyncio
import signal
import sys
from collections.abc import Callable

from pydantic import ValidationError

from deploy.sandbox.app import StartError, log, serving
from deploy.sandbox.settings import Settings


async def run(settings: Settings) -> None:
    """Serve until a signal asks for the end."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with serving(settings) as url:
        log("listening", url=url, webhook_url=settings.webhook_url)
        await stop.wait()
    log("stopped")


def main() -> int:
    """Read the settings, run, and return the exit code."""
    try:
        settings = Settings()
    except ValidationError as error:
        for problem in error.errors():
            name = "SANDBOX_" + "_".join(str(part) for part in problem["loc"][:1]).upper()
            log("wrong setting", setting=name, problem=problem["msg"])
        return 2
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(run(settings))
    except StartError as error:
        log("cannot start", problem=str(error))
        return 1
    return 0


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415 - it has no wheel for every system
    except ImportError:
        return None
    return uvloop.new_event_loop


if __name__ == "__main__":
    sys.exit(main())
