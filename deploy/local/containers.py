"""Engines in containers, through testcontainers, where a container engine answers.

Each publishes its one port on 127.0.0.1. testcontainers' own reaper removes them should this process be killed. Data
of a durable run is kept in a volume named after the state folder, so that a restart finds it again.
"""

import contextlib
import hashlib
import os
import time
from collections.abc import Callable
from typing import Any

import docker  # type: ignore[import-untyped]  # it ships no types
import docker.errors  # type: ignore[import-untyped]  # it ships no types
import psycopg
from testcontainers.core.container import DockerContainer

from deploy.local.errors import EngineMissingError, LocalError
from deploy.local.handshake import NotReadyError, log_in
from deploy.local.ports import LOOPBACK
from deploy.local.postgres import ADMIN
from deploy.local.rabbitmq import USER
from deploy.local.state import StateFolder
from deploy.machine.docker_ping import DEFAULT_HOST, why_no_engine_answers

POSTGRES_IMAGE = "postgres:17-alpine"
RABBITMQ_IMAGE = "rabbitmq:4.1-alpine"
PING_SECONDS = 5
START_SECONDS = 120


class ContainerEngine:
    """One engine in one container. `start` and `stop` may be called again and again."""

    pid: int | None = None

    def __init__(self, make: Callable[[], DockerContainer], url: str, answers: Callable[[str], bool]) -> None:
        self.url = url
        self._make = make
        self._answers = answers
        self._container: DockerContainer | None = None

    def has_ended(self) -> bool:
        """The container engine watches it."""
        return False

    def start(self) -> None:
        """Start it and wait until it accepts our login. Raises LocalError within two minutes of having the image."""
        container = self._container = self._make()
        try:
            container.start()
        except docker.errors.DockerException as error:
            raise LocalError(f"The container of {container.image} did not start: {error}") from error
        deadline = time.monotonic() + START_SECONDS
        while not self._answers(self.url):
            if time.monotonic() > deadline:
                self.stop()
                raise LocalError(f"The container of {container.image} did not answer within {START_SECONDS} s.")
            time.sleep(0.2)

    def stop(self) -> None:
        """Stop it as its image wants to be stopped, then remove it. The volume with the data stays."""
        if self._container is not None:
            with contextlib.suppress(docker.errors.DockerException):
                self._container.get_wrapped_container().stop(timeout=30)
            self._remove()

    def kill(self) -> None:
        """End it as a power cut would."""
        self._remove()

    def _remove(self) -> None:
        if self._container is not None:
            with contextlib.suppress(docker.errors.DockerException):
                self._container.stop(force=True, delete_volume=False)
            self._container = None


def find(name: str, state: StateFolder, *, durable: bool) -> ContainerEngine:
    """An engine in a container. Raises EngineMissingError if no container engine answers a ping."""
    _ping()
    make = _postgres if name == "postgres" else _rabbitmq
    return make(state, durable)


def _ping() -> None:
    # Asked by ourselves first, because the Docker client leaves its socket open when nobody answers.
    reason = why_no_engine_answers(PING_SECONDS) if _can_be_asked() else ""
    if reason:
        raise EngineMissingError(f"no container engine (Docker, Podman) answers ({reason})")
    try:
        with contextlib.closing(docker.from_env(timeout=PING_SECONDS)) as client:
            client.ping()
    except (docker.errors.DockerException, OSError) as error:
        raise EngineMissingError(f"no container engine (Docker, Podman) answers: {error}") from error


def _can_be_asked() -> bool:
    """Not over TLS or SSH; there only the Docker client knows how."""
    return (os.environ.get("DOCKER_HOST") or DEFAULT_HOST).startswith("unix://")


def _postgres(state: StateFolder, durable: bool) -> ContainerEngine:
    password, port = state.secret("postgres_admin"), state.port("postgres")
    environment = {"POSTGRES_USER": ADMIN, "POSTGRES_PASSWORD": password, "POSTGRES_DB": "postgres"}
    url = f"postgresql://{ADMIN}:{password}@{LOOPBACK}:{port}/postgres"

    def make() -> DockerContainer:
        container = make_container(POSTGRES_IMAGE, 5432, port, environment)
        container.with_command("postgres -c max_connections=300")
        return _keep(container, state, "/var/lib/postgresql/data") if durable else container

    return ContainerEngine(make, url, _postgres_answers)


def _rabbitmq(state: StateFolder, durable: bool) -> ContainerEngine:
    password, port = state.secret("rabbitmq_password"), state.port("amqp")
    node = state.secret("rabbitmq_node", lambda: f"boxoffice-{_key(state)}")
    environment = {
        "RABBITMQ_DEFAULT_USER": USER,
        "RABBITMQ_DEFAULT_PASS": password,
        "RABBITMQ_NODENAME": f"{node}@localhost",
    }

    def make() -> DockerContainer:
        container = make_container(RABBITMQ_IMAGE, 5672, port, environment)
        return _keep(container, state, "/var/lib/rabbitmq") if durable else container

    return ContainerEngine(make, f"amqp://{USER}:{password}@{LOOPBACK}:{port}/", _rabbitmq_answers)


def make_container(image: str, inner_port: int, port: int, environment: dict[str, str]) -> DockerContainer:
    """A container that publishes one port, on this machine only."""
    container = DockerContainer(image)
    # A pair of address and port is what the Docker client takes; without the address it would publish to the world.
    published: Any = (LOOPBACK, port)
    container.ports[f"{inner_port}/tcp"] = published
    for name, value in environment.items():
        container.with_env(name, value)
    return container


def _key(state: StateFolder) -> str:
    return hashlib.sha256(str(state.path).encode()).hexdigest()[:12]


def _keep(container: DockerContainer, state: StateFolder, folder: str) -> DockerContainer:
    return container.with_volume_mapping(f"boxoffice-{_key(state)}-{folder.rsplit('/')[3]}", folder, "rw")


def _postgres_answers(url: str) -> bool:
    try:
        with psycopg.connect(url, connect_timeout=3) as connection:
            connection.execute("SELECT 1")
    except psycopg.Error:
        return False
    return True


def _rabbitmq_answers(url: str) -> bool:
    try:
        return log_in(url).suitable
    except NotReadyError:
        return False
