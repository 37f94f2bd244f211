"""``python -m services.payments``."""

import sys

from services.payments.service import build
from services.payments.settings import PaymentsSettings
from shared.runtime.process import run_process


def main() -> int:
    """Run until SIGTERM; returns the exit code."""
    return run_process("payments", PaymentsSettings, build)


if __name__ == "__main__":
    sys.exit(main())
