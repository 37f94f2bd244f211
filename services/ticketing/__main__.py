"""Run ticketing: settings, build, run, exit code."""

import sys

from services.ticketing.service import build
from services.ticketing.settings import TicketingSettings
from shared.runtime.process import run_process


def main() -> int:
    """Run until SIGTERM; returns the exit code."""
    return run_process("ticketing", TicketingSettings, build)


if __name__ == "__main__":
    sys.exit(main())
