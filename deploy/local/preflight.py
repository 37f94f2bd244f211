"""What this machine must have before anything starts, each in a sentence that says what to do.

The checks are those of `make doctor-machine`; here a problem ends the start, and a warning is said.
"""

import contextlib
import resource
from collections.abc import Callable, Mapping
from pathlib import Path

from deploy.local.errors import LocalError, PortTakenError
from deploy.local.plan import Wiring
from deploy.machine import checks
from deploy.machine.findings import GOOD, PROBLEM
from deploy.machine.needs import HELPERS, OPEN_FILES_WANTED
from shared.contracts.registry import SERVICES, ServiceName


def check_ports(wiring: Wiring, replicas: Mapping[ServiceName, int]) -> None:
    """Raise PortTakenError for the first port of ours that somebody has, and say who."""
    services = [(name, replica) for name in SERVICES for replica in range(replicas.get(name, 1))]
    for name, replica in [*services, *((helper, 0) for helper in HELPERS)]:
        finding = checks.check_port(name, wiring.port(name, replica))
        if finding.level == PROBLEM:
            raise PortTakenError(finding.sentence)


def check_machine(folder: Path, say: Callable[[str], None]) -> None:
    """Raise LocalError for what would end the start later; say what will only make it slow."""
    for finding in (checks.check_disk(folder), checks.check_memory(), checks.check_open_files()):
        if finding.level == PROBLEM:
            raise LocalError(finding.sentence)
        if finding.level != GOOD:
            say(finding.sentence)


def raise_open_files() -> None:
    """Raise this process's limit of open files as far as it may; its children inherit it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    ceiling = OPEN_FILES_WANTED if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES_WANTED)
    if soft < ceiling:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (ceiling, hard))
