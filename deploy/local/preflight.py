"""What this machine must have before anything starts, each in a sentence that says what to do."""

import contextlib
import resource
import shutil
from collections.abc import Mapping
from pathlib import Path

import psutil

from deploy.local.errors import LocalError
from deploy.local.plan import Wiring
from deploy.local.ports import require_free
from shared.contracts.registry import SERVICES, ServiceName

DISK_BYTES = 1024**3
MEMORY_BYTES = 700 * 1024**2
OPEN_FILES = 4096
OPEN_FILES_WANTED = 65_536


def check_ports(wiring: Wiring, replicas: Mapping[ServiceName, int]) -> None:
    """Raise PortTakenError for the first port of ours that somebody has, and say who."""
    remedy = (
        "End that process, or move the whole stack: BOXOFFICE_PORT_OFFSET=1000 adds 1000 to every port "
        "(and BOXOFFICE_STATE_DIR gives a second stack a folder of its own)."
    )
    for service in SERVICES:
        for replica in range(replicas.get(service, 1)):
            require_free(wiring.port(service, replica), service, remedy)
    for name in ("sandbox", "catcher", "smtp"):
        require_free(wiring.port(name), name, remedy)


def check_disk(folder: Path) -> None:
    """Raise LocalError if less than 1 GiB is free where the state is kept."""
    free = shutil.disk_usage(folder).free
    if free < DISK_BYTES:
        raise LocalError(
            f"The disk of {folder} has {free / 1024**2:.0f} MiB free; Boxoffice needs 1024. "
            "Free some, or set BOXOFFICE_STATE_DIR to a folder on another disk."
        )


def raise_open_files() -> str:
    """Raise this process's limit of open files, which its children inherit; returns a warning if it stays low."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    ceiling = OPEN_FILES_WANTED if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES_WANTED)
    if soft < ceiling:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (ceiling, hard))
    now = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if now >= OPEN_FILES:
        return ""
    return f"Only {now} files may be open at once; under load that is too few. Raise it: ulimit -n {OPEN_FILES_WANTED}"


def warn_of_memory() -> str:
    """A warning if the machine has little memory to spare; else empty."""
    available = psutil.virtual_memory().available
    if available >= MEMORY_BYTES:
        return ""
    return f"Only {available / 1024**2:.0f} MiB of memory are free; the whole stack takes about 700. It may be slow."
