"""``python -m services.orders``."""

import sys

from services.orders.service import build
from services.orders.settings import OrdersSettings
from shared.runtime.process import run_process


def main() -> int:
    """Run until SIGTERM; returns the exit code."""
    return run_process("orders", OrdersSettings, build)


if __name__ == "__main__":
    sys.exit(main())
