"""What the local stack takes of a machine: versions, sizes and ports."""

from __future__ import annotations

import re
from collections.abc import Mapping

from deploy.local.errors import LocalError

PYTHON_OLDEST, PYTHON_NEWEST = (3, 11), (3, 14)
POSTGRES_OLDEST = 14
RABBITMQ_OLDEST = (3, 10)
MEBIBYTE = 1024**2
DISK_BYTES = 1024 * MEBIBYTE
"""Free where the state is kept."""
INSTALL_BYTES = 700 * MEBIBYTE
"""Free where the project is, before anything was installed: packages and unpacked engines."""
MEMORY_BYTES = 700 * MEBIBYTE
OPEN_FILES = 4096
OPEN_FILES_WANTED = 65_536
UNUSABLE_IN_PATHS = frozenset("'\"`$\\")
"""RabbitMQ's disk monitor hands its folder to a shell, unquoted against these, and then waits for ever."""

LOOPBACK = "127.0.0.1"
PORTS = {
    "gateway": 8080,
    "payments": 8081,
    "inventory": 8082,
    "ticketing": 8083,
    "orders": 8084,
    "reaper": 8085,
    "mailer": 8086,
    "sandbox": 8090,
    "catcher": 8091,
    "smtp": 8025,
}
HELPERS = ("sandbox", "catcher", "smtp")
REPLICA_STEP = 100
REPLICAS_MAX = 9
PORT_VARIABLES = {"sandbox": "SANDBOX_PORT", "smtp": "CATCHER_SMTP_PORT"}


def chosen_port(name: str, environment: Mapping[str, str], offset: int, replica: int = 0) -> int:
    """The port of one of `PORTS`; a setting of its own in the environment comes first."""
    chosen = environment.get(PORT_VARIABLES.get(name, f"{name.upper()}_HTTP_PORT"), "")
    base = int(chosen) if chosen.isdecimal() else PORTS[name] + offset
    return base + REPLICA_STEP * replica


def read_port_offset(environment: Mapping[str, str]) -> int:
    """`BOXOFFICE_PORT_OFFSET`, 0 if unset. Raises LocalError if it is no number or moves a port out of range."""
    text = environment.get("BOXOFFICE_PORT_OFFSET", "").strip() or "0"
    highest = 65_535 - max(PORTS.values()) - REPLICA_STEP * REPLICAS_MAX
    if not re.fullmatch(r"-?\d{1,5}", text) or not 1024 - min(PORTS.values()) <= int(text) <= highest:
        raise LocalError(f"BOXOFFICE_PORT_OFFSET is {text!r}; it must be a whole number, at most {highest}.")
    return int(text)
