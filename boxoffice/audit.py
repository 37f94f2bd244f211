"""What an operator did, one JSON line each: `audit.jsonl` in the state folder's logs, or `BOXOFFICE_AUDIT_FILE`.

A line is on the disk before the deed is done, so that nothing is ever done without one.
"""

import getpass
import json
import os
import stat
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from boxoffice.exits import CommandError
from deploy.local.state import StateFolder


def audit_file() -> Path:
    """Where the lines are."""
    chosen = os.environ.get("BOXOFFICE_AUDIT_FILE", "")
    return Path(chosen).expanduser() if chosen else StateFolder.from_environment().logs / "audit.jsonl"


def write_lines(action: str, deeds: Iterable[Mapping[str, Any]]) -> None:
    """Append a line for each deed, and have them on the disk. Raises CommandError: then nothing may be done."""
    path = audit_file()
    who = {"at": datetime.now(UTC).isoformat(), "who": _user(), "action": action}
    text = "".join(f"{json.dumps({**who, **deed}, default=str)}\n" for deed in deeds)
    try:
        if not os.environ.get("BOXOFFICE_AUDIT_FILE"):
            StateFolder.from_environment().create()
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, stat.S_IRUSR | stat.S_IWUSR)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise CommandError(f"Nothing was done, because {path} cannot be written: {error.strerror}.") from error


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # A container's user often has no name.
        return str(os.getuid())
