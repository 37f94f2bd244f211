"""``python -m services.reaper``."""

import sys

from services.reaper.service import build
from services.reaper.settings import ReaperSettings
from shared.runtime.process import run_process


def main() -> int:
    """Run until SIGTERM; returns the exit code."""
    return run_process("reaper", ReaperSettings, build)


if __name__ == "__main__":
    sys.exit(main())
