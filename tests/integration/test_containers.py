"""Engines in containers: exactly what is asked of Docker, and that nothing is published to other machines.

There is no Docker where these run. A server that speaks its protocol stands for it, and the ports it "publishes" lead
to the real engines of the session: the client, testcontainers, the log-in and the wait are the real ones.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from testcontainers.core.config import ConnectionMode, testcontainers_config
from testcontainers.core.container import Reaper

from deploy.local import containers
from deploy.local.engines import Engines, start_engines
from deploy.local.errors import LocalError
from deploy.local.handshake import log_in
from deploy.local.postgres import ADMIN
from deploy.local.rabbitmq import USER
from deploy.local.state import StateFolder, write_json
from tests.docker_engine import FakeDocker, fake_docker
from tests.proxies import Proxy

ASKED = {"BOXOFFICE_ENGINES": "containers"}


@dataclass
class Published:
    """A state folder whose two ports lead to the session's engines once Docker publishes them."""

    state: StateFolder
    docker: FakeDocker
    postgres: Proxy
    rabbitmq: Proxy


@pytest.fixture
async def published(engines: Engines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Published]:
    database, broker = urlsplit(engines.database_url), urlsplit(engines.amqp_url)
    if (database.username, broker.username) != (ADMIN, USER):
        pytest.skip("the engines given to this session have users of other names")
    state = StateFolder(tmp_path / "state")
    state.create()
    write_json(state.path / "secrets.json", {"postgres_admin": database.password, "rabbitmq_password": broker.password})
    loop = asyncio.get_running_loop()
    async with Proxy(engines.database_url) as postgres, Proxy(engines.amqp_url) as rabbitmq:
        by_port = {postgres.port: postgres, rabbitmq.port: rabbitmq}
        write_json(state.path / "ports.json", {"postgres": postgres.port, "amqp": rabbitmq.port})

        def opened(_: str, port: int) -> None:
            asyncio.run_coroutine_threadsafe(by_port[port].open(), loop).result(10)

        with fake_docker(tmp_path, opened) as docker:
            monkeypatch.setenv("DOCKER_HOST", f"unix://{docker.socket}")
            # The tests may be in a container themselves, which it would otherwise find out by asking more.
            monkeypatch.setattr(testcontainers_config, "connection_mode_override", ConnectionMode.docker_host)
            monkeypatch.setattr(testcontainers_config, "tc_host_override", "127.0.0.1")
            yield Published(state, docker, postgres, rabbitmq)
            await asyncio.to_thread(Reaper.delete_instance)


async def test_containers_are_started_used_and_removed(published: Published) -> None:
    docker, state = published.docker, published.state
    said: list[str] = []
    running = await asyncio.to_thread(start_engines, state, durable=True, environment=ASKED, progress=said.append)
    assert running.chosen == {"postgres": "containers", "rabbitmq": "containers"}
    assert [line for line in said if "in a container" in line] == [
        "Starting PostgreSQL in a container",
        "Starting RabbitMQ in a container",
    ]
    assert urlsplit(running.database_url).port == published.postgres.port
    assert await asyncio.to_thread(lambda: log_in(running.amqp_url).suitable)
    await asyncio.to_thread(_select_one, running.database_url)

    await asyncio.to_thread(running.stop)
    for image in (containers.POSTGRES_IMAGE, containers.RABBITMQ_IMAGE):
        (identity,) = [one for one, container in docker.containers.items() if container["Image"] == image]
        # The volume with the data stays.
        assert docker.requests.index(f"POST /containers/{identity}/stop?t=30") < docker.requests.index(
            f"DELETE /containers/{identity}?v=False&link=False&force=True"
        )
    # Should this process be killed, testcontainers' own reaper removes what has our session's label.
    assert docker.reaped == [f"label=org.testcontainers.session-id={_label(docker, containers.POSTGRES_IMAGE)}"]


async def test_docker_is_asked_for_exactly_this(published: Published) -> None:
    docker, state = published.docker, published.state
    for name, image in (("postgres", containers.POSTGRES_IMAGE), ("rabbitmq", containers.RABBITMQ_IMAGE)):
        engine = containers.find(name, state, durable=True)
        await asyncio.to_thread(engine.start)
        await asyncio.to_thread(engine.stop)
        assert (
            f"POST /images/create?tag={image.partition(':')[2]}&fromImage={image.partition(':')[0]}" in docker.requests
        )

    postgres, rabbitmq = (docker.created(image) for image in (containers.POSTGRES_IMAGE, containers.RABBITMQ_IMAGE))
    for container, inner, proxy in ((postgres, 5432, published.postgres), (rabbitmq, 5672, published.rabbitmq)):
        bindings = {f"{inner}/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(proxy.port)}]}
        assert container["HostConfig"]["PortBindings"] == bindings
        assert not container["HostConfig"].get("Privileged")
    assert dict(text.split("=", 1) for text in postgres["Env"]) == {
        "POSTGRES_USER": ADMIN,
        "POSTGRES_PASSWORD": state.secret("postgres_admin"),
        "POSTGRES_DB": "postgres",
    }
    assert postgres["Cmd"] == ["postgres", "-c", "max_connections=300"]
    assert {text.partition("=")[0] for text in rabbitmq["Env"]} == {
        "RABBITMQ_DEFAULT_USER",
        "RABBITMQ_DEFAULT_PASS",
        "RABBITMQ_NODENAME",
    }
    binds = [bind for container in (postgres, rabbitmq) for bind in container["HostConfig"]["Binds"]]
    assert [bind.split(":")[1:] for bind in binds] == [
        ["/var/lib/postgresql/data", "rw"],
        ["/var/lib/rabbitmq", "rw"],
    ]
    assert len({bind.split(":")[0] for bind in binds}) == 2


async def test_container_of_a_test_keeps_no_data(published: Published) -> None:
    engine = containers.find("postgres", published.state, durable=False)
    await asyncio.to_thread(engine.start)
    await asyncio.to_thread(engine.stop)
    assert not published.docker.created(containers.POSTGRES_IMAGE)["HostConfig"].get("Binds")


async def test_container_that_never_answers_ends_the_start_in_words(
    published: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(containers, "START_SECONDS", 0.2)
    monkeypatch.setattr(published.docker, "opened", lambda *_: None)
    engine = containers.find("postgres", published.state, durable=False)
    with pytest.raises(LocalError, match="did not answer within"):
        await asyncio.to_thread(engine.start)
    assert any(request.startswith("DELETE /containers/") for request in published.docker.requests)


def _select_one(url: str) -> None:
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def _label(docker: FakeDocker, image: str) -> str:
    return str(docker.created(image)["Labels"]["org.testcontainers.session-id"])
