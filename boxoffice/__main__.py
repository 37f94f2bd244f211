"""`python -m boxoffice`."""

import sys

from boxoffice.exits import INTERRUPTED

RUN_WITH_ONE_NAME = 3


def main() -> int:
    """Services start without the command line's libraries: there are many of them, and each start counts."""
    try:
        if len(sys.argv) == RUN_WITH_ONE_NAME and sys.argv[1] == "run" and not sys.argv[2].startswith("-"):
            from boxoffice.service import run_service  # noqa: PLC0415

            return run_service(sys.argv[2])
        from boxoffice.cli import main as command_line  # noqa: PLC0415

        return command_line()
    except KeyboardInterrupt:
        # While modules are still being loaded there is nothing to stop, and nothing to explain with a traceback.
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
