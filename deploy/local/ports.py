"""TCP ports on 127.0.0.1: free ones, taken ones, and who took them."""

import contextlib
import socket

from deploy.local.errors import PortTakenError
from deploy.machine.listeners import describe_owner, is_free
from deploy.machine.needs import LOOPBACK

__all__ = ["LOOPBACK", "choose_free_ports", "describe_owner", "is_free", "require_free"]


def choose_free_ports(count: int) -> list[int]:
    """Ports nobody listens on, all different. They are free now; only binding one proves it."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for candidate in sockets:
            candidate.bind((LOOPBACK, 0))
        return [candidate.getsockname()[1] for candidate in sockets]


def require_free(port: int, purpose: str, remedy: str) -> None:
    """Raise PortTakenError, naming the port, its purpose and the process that has it."""
    if is_free(port):
        return
    owner = describe_owner(port)
    by = f" by {owner}" if owner else " by another process"
    raise PortTakenError(f"Port {port} ({purpose}) is taken{by}. {remedy}")
