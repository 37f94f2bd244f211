"""A container engine as its client sees it: HTTP on a socket, and ports that lead to something real.

It has no containers. What it is told to start is remembered, and its ports are opened by the test.
"""

import contextlib
import json
import re
import socketserver
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

API = "1.44"
RYUK_STARTED = b"2026/01/01 00:00:00 Started!\n"


@dataclass
class FakeDocker:
    """What was asked for. `opened` is called with the host's port when a container starts."""

    socket: Path
    opened: Callable[[str, int], None]
    images: set[str] = field(default_factory=set)
    containers: dict[str, dict[str, Any]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    reaper: socketserver.ThreadingTCPServer | None = None
    reaped: list[str] = field(default_factory=list)

    def created(self, image: str) -> dict[str, Any]:
        """What the one container of this image was created with."""
        (found,) = [container for container in self.containers.values() if container["Image"] == image]
        return found


@contextlib.contextmanager
def fake_docker(folder: Path, opened: Callable[[str, int], None]) -> Iterator[FakeDocker]:
    """Answer on a socket in the folder while the block runs."""
    engine = FakeDocker(folder / "docker.sock", opened)
    handler = type("Handler", (_Handler,), {"engine": engine})
    with socketserver.ThreadingUnixStreamServer(str(engine.socket), handler) as server, _reaper(engine):
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield engine
        finally:
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def _reaper(engine: FakeDocker) -> Iterator[None]:
    """The port of the container that removes the others when its client is gone."""

    class Listener(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            engine.reaped.append(self.rfile.readline().decode().strip())
            self.rfile.read()

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Listener) as server:
        server.daemon_threads = True
        engine.reaper = server
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    engine: FakeDocker
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = self._path()
        if path in {"/_ping", "/version"}:
            self._answer({"ApiVersion": API, "MinAPIVersion": "1.24", "Os": "linux", "Arch": "amd64"})
        elif found := re.fullmatch(r"/images/(.+)/json", path):
            if found[1] in self.engine.images:
                self._answer({"Id": f"sha256:{found[1]}", "RepoTags": [found[1]]})
            else:
                self._answer({"message": f"No such image: {found[1]}"}, 404)
        elif found := re.fullmatch(r"/containers/(\w+)/json", path):
            self._answer(self._inspected(found[1]))
        elif re.fullmatch(r"/containers/\w+/logs", path):
            # As Docker frames the two streams of a container: stdout, three zeros, the length.
            self._send(b"\x01\0\0\0" + len(RYUK_STARTED).to_bytes(4, "big") + RYUK_STARTED, 200)
        else:
            self._answer({"message": f"not known here: {path}"}, 404)

    def do_POST(self) -> None:
        path, body = self._path(), self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if path == "/images/create":
            query = parse_qs(urlsplit(self.path).query)
            self.engine.images.add(f"{query['fromImage'][0]}:{query['tag'][0]}")
            self._answer({"status": "Download complete"})
        elif path == "/containers/create":
            identity = f"{len(self.engine.containers) + 1:064x}"
            self.engine.containers[identity] = json.loads(body)
            self._answer({"Id": identity, "Warnings": []}, 201)
        elif found := re.fullmatch(r"/containers/(\w+)/(start|stop)", path):
            if found[2] == "start":
                self._open(self.engine.containers[found[1]])
            self._send(b"", 204)
        else:
            self._answer({"message": f"not known here: {path}"}, 404)

    def do_DELETE(self) -> None:
        self._path()
        self._send(b"", 204)

    def _path(self) -> str:
        path = unquote(re.sub(r"^/v\d+\.\d+/", "/", urlsplit(self.path).path))
        query = urlsplit(self.path).query
        self.engine.requests.append(f"{self.command} {path}{'?' * bool(query)}{query}")
        return path

    def _open(self, container: dict[str, Any]) -> None:
        for bindings in container["HostConfig"].get("PortBindings", {}).values():
            for binding in bindings:
                if binding["HostPort"]:
                    self.engine.opened(container["Image"], int(binding["HostPort"]))

    def _inspected(self, identity: str) -> dict[str, Any]:
        container = self.engine.containers[identity]
        assert self.engine.reaper is not None
        bound = [{"HostIp": "127.0.0.1", "HostPort": str(self.engine.reaper.server_address[1])}]
        return {
            "Id": identity,
            "Name": f"/{identity}",
            "Image": container["Image"],
            "Config": {"Image": container["Image"], "Labels": container["Labels"], "Tty": False},
            "State": {"Status": "running", "Running": True},
            "HostConfig": container["HostConfig"],
            "NetworkSettings": {"Ports": {"8080/tcp": bound}},
        }

    def _answer(self, content: dict[str, Any], status: int = 200) -> None:
        self._send(json.dumps(content).encode(), status)

    def _send(self, content: bytes, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        if status != 204:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the library
        """Nothing to say."""
