"""Whether a container engine (Docker, Podman) answers. Asks without its client, which may not be installed yet."""

from __future__ import annotations

import http
import http.client
import os
import socket
from urllib.parse import urlsplit

DEFAULT_HOST = "unix:///var/run/docker.sock"
PING_SECONDS = 5.0


class _SocketConnection(http.client.HTTPConnection):
    """HTTP over a socket in the file system."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def why_no_engine_answers(timeout_seconds: float = PING_SECONDS) -> str:
    """Empty if the engine of `DOCKER_HOST` answers; else the reason, found within the time-out for each step."""
    host = os.environ.get("DOCKER_HOST") or DEFAULT_HOST
    url = urlsplit(host)
    if url.scheme == "unix":
        connection: http.client.HTTPConnection = _SocketConnection(url.path, timeout_seconds)
    elif url.scheme in {"tcp", "http"} and url.hostname:
        connection = http.client.HTTPConnection(url.hostname, url.port or 2375, timeout=timeout_seconds)
    else:
        return f"{host} is not a socket that can be asked here"
    try:
        connection.request("GET", "/_ping")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return f"{host}: {error or type(error).__name__}"
    finally:
        connection.close()
    return "" if status == http.HTTPStatus.OK else f"{host} answers {status}"
