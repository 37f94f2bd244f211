"""`python -m deploy.local.guard STATE LAUNCH`: waits for the launcher to go, then ends what it left behind."""

import shutil
import signal
import sys
from pathlib import Path

from deploy.local.processes import end_leftovers
from deploy.local.state import StateFolder


def main(arguments: list[str]) -> int:
    """Read standard input to its end, which comes when the launcher closes it or dies."""
    for ignored in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        # Whoever ends the launcher's whole group must not end the one that tidies up after it.
        signal.signal(ignored, signal.SIG_IGN)
    state = StateFolder(Path(arguments[0]))
    sys.stdin.buffer.read()
    if state.path.exists():
        end_leftovers(state, arguments[1])
    if "--remove-state" in arguments and state.marked:
        remove_state(state)
    return 0


def remove_state(state: StateFolder) -> None:
    """Remove a throw-away state folder, and the engine folder it keeps elsewhere, if any."""
    elsewhere = state.path / "elsewhere"
    if elsewhere.is_file():
        shutil.rmtree(elsewhere.read_text().strip(), ignore_errors=True)
    shutil.rmtree(state.path, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
