"""Run the mailer: settings, build, run, exit code."""

import sys

from services.mailer.service import build
from services.mailer.settings import MailerSettings
from shared.runtime.process import run_process


def main() -> int:
    """Run until SIGTERM; returns the exit code."""
    return run_process("mailer", MailerSettings, build)


if __name__ == "__main__":
    sys.exit(main())
