"""A local stack as a user has it: the command line in a process of its own, a state folder, moved ports."""

import json
import os
import random
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.local.plan import PORTS, REPLICA_STEP
from deploy.local.ports import is_free
from deploy.local.state import PROJECT

COMMAND_SECONDS = 150


@dataclass(frozen=True)
class LocalStackUnderTest:
    """The commands of one state folder."""

    state: Path
    offset: int

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("BOXOFFICE_")}
        engines = {name: os.environ[name] for name in ("BOXOFFICE_ENGINES",) if name in os.environ}
        own = {"BOXOFFICE_STATE_DIR": str(self.state), "BOXOFFICE_PORT_OFFSET": str(self.offset)}
        return {**kept, **engines, **own, "PYTHONPATH": str(PROJECT)}

    def start_command(self, *arguments: str) -> list[str]:
        """`boxoffice` with these arguments, as a command of this Python."""
        return [sys.executable, "-m", "boxoffice", *arguments]

    def command(self, *arguments: str, expect: int | None = 0) -> str:
        """Run `boxoffice` with these arguments; returns what it printed. `expect` None takes any exit code."""
        done = subprocess.run(
            self.start_command(*arguments),
            env=self.environment,
            cwd=PROJECT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
        assert expect is None or done.returncode == expect, f"exit code {done.returncode}, not {expect}: {done.stdout}"
        return done.stdout

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start `boxoffice` and go on; its output is on `stdout`."""
        return subprocess.Popen(
            self.start_command(*arguments),
            env=self.environment,
            cwd=PROJECT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def status(self) -> dict[str, Any]:
        """What `boxoffice status --json` says."""
        return dict(json.loads(self.command("status", "--json", expect=None)))

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{PORTS[name] + self.offset}"


def free_offset() -> int:
    """An offset at which every port of a stack is free, below the range from which systems hand out ports."""
    for _ in range(100):
        offset = random.randrange(2_000, 22_000)
        ports = [port + offset + REPLICA_STEP * replica for port in PORTS.values() for replica in range(3)]
        if all(is_free(port) for port in ports):
            return offset
    raise AssertionError("no free range of ports")
