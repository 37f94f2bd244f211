"""``python -m services.inventory``."""

import sys

from services.inventory.service import build
from services.inventory.settings import InventorySettings
from shared.runtime.process import run_process


def main() -> int:
    """Run until SIGTERM; returns the exit code."""
    return run_process("inventory", InventorySettings, build)


if __name__ == "__main__":
    sys.exit(main())
