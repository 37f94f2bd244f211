"""A stack of the demo's own: another state folder, other ports, a shorter time to pay."""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.local.errors import LocalError
from deploy.local.guard import remove_state
from deploy.local.plan import PORTS, Secrets
from deploy.local.ports import LOOPBACK, is_free
from deploy.local.provisioning import stack_secrets
from deploy.local.signals import stopped_by_signals
from deploy.local.state import PROJECT, StateFolder

#: Long enough to pay, short enough to watch an order expire.
PAY_WITHIN_SECONDS = 12
STOP_SECONDS = 150


@dataclass(frozen=True)
class DemoStack:
    """Where everything is."""

    addresses: Mapping[str, str]
    database_urls: Mapping[str, str]
    secrets: Secrets
    event_id: str


@contextmanager
def demo_stack(say: Callable[[str], None]) -> Iterator[DemoStack]:
    """Start a stack, and stop it and remove its state in the end. Raises LocalError when it does not start."""
    base = StateFolder.from_environment()
    base.create()
    folder = Path(tempfile.mkdtemp(prefix="demo-", dir=base.path))
    offset = _free_offset()
    environment = {
        **os.environ,
        "BOXOFFICE_STATE_DIR": str(folder),
        "BOXOFFICE_PORT_OFFSET": str(offset),
        "ORDERS_PAY_WITHIN_SECONDS": str(PAY_WITHIN_SECONDS),
        "PAYMENTS_LAST_ATTEMPT_SECONDS": "2",
    }
    try:
        # SIGTERM too has to come by below: the stack runs in the background and would stay there.
        with stopped_by_signals():
            _run("up", "--detach", environment=environment, say=say)
            state = StateFolder(folder)
            yield DemoStack(
                addresses={name: f"http://{LOOPBACK}:{port + offset}" for name, port in PORTS.items()},
                database_urls=json.loads((folder / "databases.json").read_text()),
                secrets=stack_secrets(state),
                event_id=json.loads((folder / "demo_event.json").read_text())["id"],
            )
    finally:
        say("Stopping everything")
        _run("down", environment=environment, say=lambda _: None)
        remove_state(StateFolder(folder))


def _free_offset() -> int:
    """An offset at which all ports are free; the default ones may belong to a stack that is running."""
    for _ in range(100):
        offset = random.randrange(2_000, 22_000)  # noqa: S311 - picks ports, guards nothing
        if all(is_free(port + offset) for port in PORTS.values()):
            return offset
    raise LocalError("No free range of ports was found for the demo.")


def _run(*arguments: str, environment: Mapping[str, str], say: Callable[[str], None]) -> None:
    with subprocess.Popen(  # noqa: S603 - this very program
        [sys.executable, "-m", "boxoffice", *arguments],
        cwd=PROJECT,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        lines = []
        try:
            for line in process.stdout:
                lines.append(line.rstrip())
                # Addresses and tokens follow, for people who go on with the stack; this one ends with the demo.
                if not any("is ready" in one for one in lines):
                    say(line.rstrip())
        except KeyboardInterrupt:
            # It passes the word on to what it has started in the background; Ctrl-C has reached it, SIGTERM has not.
            process.send_signal(signal.SIGINT)
            process.wait(STOP_SECONDS)
            raise
        code = process.wait(STOP_SECONDS)
    if code != 0:
        raise LocalError(f"boxoffice {arguments[0]} ended with {code}: " + " / ".join(lines[-5:]))
