"""TCP ports on 127.0.0.1: free ones, taken ones, and who took them."""

import contextlib
import socket

import psutil

from deploy.local.errors import PortTakenError

LOOPBACK = "127.0.0.1"


def choose_free_ports(count: int) -> list[int]:
    """Ports nobody listens on, all different. They are free now; only binding one proves it."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for candidate in sockets:
            candidate.bind((LOOPBACK, 0))
        return [candidate.getsockname()[1] for candidate in sockets]


def is_free(port: int) -> bool:
    """Whether a server could listen on this port now, on 127.0.0.1 and on every address."""
    for address in (LOOPBACK, ""):
        with socket.socket() as candidate:
            # As servers do: a connection still in TIME_WAIT is no reason to refuse the port.
            candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                candidate.bind((address, port))
            except OSError:
                return False
    return True


def describe_owner(port: int) -> str:
    """The process that listens on a port, as far as this user may know; empty if unknown."""
    try:
        connections = psutil.net_connections(kind="tcp")
    except (psutil.Error, OSError):
        return ""
    for connection in connections:
        if connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port:
            return _describe_process(connection.pid)
    return ""


def require_free(port: int, purpose: str, remedy: str) -> None:
    """Raise PortTakenError, naming the port, its purpose and the process that has it."""
    if is_free(port):
        return
    owner = describe_owner(port)
    by = f" by {owner}" if owner else " by another process"
    raise PortTakenError(f"Port {port} ({purpose}) is taken{by}. {remedy}")


def _describe_process(pid: int | None) -> str:
    if pid is None:
        return ""
    try:
        return f"{psutil.Process(pid).name()} (process {pid})"
    except psutil.Error:
        return f"process {pid}"
