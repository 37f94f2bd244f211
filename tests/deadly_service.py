"""``python -m tests.deadly_service orders``: a real service, except that a marked event kills its process."""

import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

from shared.contracts.registry import SERVICES
from shared.messaging.cloudevents import Event
from shared.messaging.transaction import Transaction
from shared.runtime.process import run_process
from shared.runtime.service import Service
from shared.runtime.settings import DatabaseSettings
from tests.services import build_of, settings_class_of
from tests.spies import has_poison, spy_on


async def die(_: Transaction, events: Sequence[Event[Any]]) -> None:
    """As a segmentation fault or the kernel's memory killer would end it: no answer, no cleaning up."""
    if has_poison(events):
        os.kill(os.getpid(), signal.SIGKILL)


def main(name: str) -> int:
    """Run until SIGTERM, or until the event comes."""
    (service,) = [one for one in SERVICES if one == name]

    def build(settings: DatabaseSettings) -> Service:
        return spy_on(build_of(service, settings), die)

    return run_process(service, settings_class_of(service), build)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
