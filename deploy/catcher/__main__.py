"""``python -m deploy.catcher``: serve until SIGTERM or SIGINT. Exit code 2 for a wrong setting, 1 for no start."""

import asyncio
import signal
import sys

from pydantic import ValidationError

from deploy.catcher.app import StartError, log, serving
from deploy.catcher.settings import Settings


async def run(settings: Settings) -> None:
    """Serve until a signal asks for the end."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with serving(settings) as addresses:
        log("listening", url=addresses.url, smtp_host=addresses.smtp_host, smtp_port=addresses.smtp_port)
        await stop.wait()
    log("stopped")


def main() -> int:
    """Read the settings, run, and return the exit code."""
    try:
        settings = Settings()
    except ValidationError as error:
        for problem in error.errors():
            name = "CATCHER_" + "_".join(str(part) for part in problem["loc"][:1]).upper()
            log("wrong setting", setting=name, problem=problem["msg"])
        return 2
    try:
        asyncio.run(run(settings))
    except StartError as error:
        log("cannot start", problem=str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
