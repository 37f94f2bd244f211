"""Run the gateway: ``python -m services.gateway``, or ``boxoffice run gateway``."""

import sys

from services.gateway.service import NAME, build
from services.gateway.settings import GatewaySettings
from shared.runtime.process import run_process


def main() -> int:
    """Run until SIGTERM; returns the exit code."""
    return run_process(NAME, GatewaySettings, build)


if __name__ == "__main__":
    sys.exit(main())
