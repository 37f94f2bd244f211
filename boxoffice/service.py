"""Run one service in this process."""

import importlib
import sys

from boxoffice.exits import USAGE
from shared.contracts.registry import SERVICES


def run_service(name: str) -> int:
    """Run it until SIGTERM; returns its exit code, 2 for an unknown name."""
    if name not in SERVICES:
        sys.stderr.write(f"There is no service {name!r}. Services: {', '.join(SERVICES)}.\n")
        return USAGE
    module = importlib.import_module(f"services.{name}.__main__")
    return int(module.main())
