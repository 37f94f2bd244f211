"""The resolver on real engines: each way it finds them, where they listen, and that they never stay behind."""

import contextlib
import dataclasses
import os
import shutil
import signal
import socket
import socketserver
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import psycopg
import pytest

from deploy.local import given, postgres
from deploy.local.databases import url_of
from deploy.local.engines import Engines, start_engines
from deploy.local.errors import LocalError, PortTakenError
from deploy.local.handshake import log_in
from deploy.local.postgres import PostgresServer
from deploy.local.processes import find_process
from deploy.local.rabbitmq import RabbitBinaries, RabbitNode
from deploy.local.state import PROJECT, StateFolder
from tests.processes import LOOPBACK, listening_addresses, processes_of
from tests.services import through
from tests.waiting import until

LAUNCHER = """
import sys, time
from pathlib import Path
from deploy.local.engines import start_engines
from deploy.local.state import StateFolder
engines = start_engines(StateFolder(Path(sys.argv[1])), durable=True, remove_state="throw-away" in sys.argv)
print(engines.database_url, flush=True)
time.sleep(600)
"""


@pytest.fixture
def state() -> Iterator[StateFolder]:
    """A state folder with a space in its path."""
    folder = Path(tempfile.mkdtemp(prefix="boxoffice-test-"))
    # Passable, as a home folder usually is, so that the engine's own user reaches it when we are root.
    folder.chmod(0o711)
    yield StateFolder(folder / "state folder")
    shutil.rmtree(folder, ignore_errors=True)


def test_session_engines_are_new_enough_and_ours(engines: Engines) -> None:
    with psycopg.connect(engines.database_url) as connection:
        assert connection.info.server_version >= 140_000
        assert connection.execute("SHOW max_connections").fetchone() == ("300",)
    assert log_in(engines.amqp_url).suitable
    assert engines.rabbitmq.pid not in {None, *_system_pids("beam.smp")} or engines.chosen["rabbitmq"] == "given"


def _system_pids(name: str) -> set[int]:
    listening = {found.pid for found in psutil.net_connections("tcp") if found.laddr and found.laddr.port == 5672}
    return {pid for pid in listening if pid and psutil.Process(pid).name() == name}


def test_everything_listens_on_this_machine_only(engines: Engines) -> None:
    if engines.postgres.pid is None or engines.rabbitmq.pid is None:
        pytest.skip("these engines are not our processes")
    folder = Path(psutil.Process(engines.rabbitmq.pid).environ()["HOME"]).parent
    found = processes_of(folder)
    addresses = listening_addresses(found)
    assert {address for address, _ in addresses} <= LOOPBACK
    # PostgreSQL, AMQP, the node's distribution port and its epmd: all four were seen.
    assert len({port for _, port in addresses}) == 4
    assert "epmd" in {process.name() for process in found}


def test_given_engines_are_used_and_left_running(engines: Engines, state: StateFolder) -> None:
    settings = {"BOXOFFICE_DATABASE_URL": engines.database_url, "BOXOFFICE_AMQP_URL": engines.amqp_url}
    given = start_engines(state, durable=True, environment=settings)
    assert given.chosen == {"postgres": "given", "rabbitmq": "given"}
    given.stop()
    with psycopg.connect(engines.database_url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_given_broker_that_is_too_old_is_named(engines: Engines, state: StateFolder) -> None:
    version = log_in(engines.amqp_url).version
    older = f"3.9.{'1' * (len(version) - 4)}"
    with saying(engines.amqp_url, version, older) as url, pytest.raises(LocalError) as told:
        start_engines(state, durable=True, needed=["rabbitmq"], environment={"BOXOFFICE_AMQP_URL": url})
    assert f"BOXOFFICE_AMQP_URL is RabbitMQ {older}; 3.10 or newer is needed" in str(told.value)


def test_given_server_that_is_too_old_is_named(
    engines: Engines, state: StateFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(given, "OLDEST", 99)
    settings = {"BOXOFFICE_DATABASE_URL": engines.database_url}
    with pytest.raises(LocalError, match=r"is version \d+; we need 99 or newer"):
        start_engines(state, durable=True, needed=["postgres"], environment=settings)


def test_given_role_without_rights_is_told_which_it_needs(engines: Engines, state: StateFolder) -> None:
    with psycopg.connect(engines.database_url, autocommit=True) as connection:
        connection.execute("CREATE ROLE somebody LOGIN PASSWORD 'x'")
        connection.execute("GRANT CONNECT ON DATABASE postgres TO somebody")
        try:
            settings = {"BOXOFFICE_DATABASE_URL": url_of(engines.database_url, "postgres", "somebody", "x")}
            with pytest.raises(LocalError, match="needs the rights CREATEDB and CREATEROLE"):
                start_engines(state, durable=True, needed=["postgres"], environment=settings)
        finally:
            connection.execute("DROP OWNED BY somebody")
            connection.execute("DROP ROLE somebody")


@contextlib.contextmanager
def saying(url: str, text: str, instead: str) -> Iterator[str]:
    """The URL of the same server, which says one text instead of another of the same length."""
    there = urlsplit(url)

    class Interpreter(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.create_connection((there.hostname or "", there.port or 0)) as server:
                asking = threading.Thread(target=copy, args=(self.request, server, "", ""))
                asking.start()
                copy(server, self.request, text, instead)
                asking.join()

    def copy(source: socket.socket, target: socket.socket, before: str, after: str) -> None:
        with contextlib.suppress(OSError):
            while content := source.recv(65_536):
                target.sendall(content.replace(before.encode(), after.encode()) if before else content)
            target.shutdown(socket.SHUT_WR)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Interpreter) as interpreter:
        thread = threading.Thread(target=interpreter.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield through(url, interpreter.server_address[1])
        interpreter.shutdown()
        thread.join()


def test_given_url_that_leads_nowhere_is_named(state: StateFolder) -> None:
    with pytest.raises(LocalError, match="BOXOFFICE_DATABASE_URL cannot be used"):
        start_engines(state, durable=True, environment={"BOXOFFICE_DATABASE_URL": "postgresql://x@127.0.0.1:1/x"})
    assert processes_of(state.path) == []


def test_postgres_from_the_wheel_keeps_its_data(state: StateFolder) -> None:
    state.create()
    server = PostgresServer(state, postgres.find_in_wheel(), durable=False)
    for statement in ("CREATE TABLE kept AS SELECT 7 AS row", "SELECT row FROM kept"):
        server.start()
        try:
            with psycopg.connect(server.url) as connection:
                assert connection.info.server_version >= 180_000
                connection.execute(statement)
            assert {address for address, _ in listening_addresses(processes_of(state.path))} <= LOOPBACK
        finally:
            server.stop()
    assert processes_of(state.path) == []
    assert stat.S_IMODE((state.path / "secrets.json").stat().st_mode) == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs engines as another user")
def test_root_keeps_data_where_the_engines_user_reaches_it() -> None:
    folder = Path(tempfile.mkdtemp(prefix="boxoffice-test-"))
    # Nobody but root passes here, as through /root.
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    running = start_engines(
        StateFolder(folder / "state"), durable=False, remove_state=True, needed=["postgres"], environment=_machine()
    )
    assert running.postgres.pid is not None
    data = Path(psutil.Process(running.postgres.pid).cwd())
    assert psutil.Process(running.postgres.pid).uids().real != 0
    assert folder not in data.parents
    running.stop()
    assert not data.parent.exists()
    folder.rmdir()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs engines as another user")
def test_root_copies_programs_that_the_engines_user_cannot_reach(state: StateFolder) -> None:
    state.create()
    wheel = postgres.find_in_wheel()
    # As with a virtual environment below /root: nobody but root passes here.
    hidden = state.path / "hidden"
    hidden.mkdir(0o700)
    for part in wheel.parts:
        shutil.copytree(wheel.root / part, hidden / part, symlinks=True)
    server = PostgresServer(state, dataclasses.replace(wheel, root=hidden), durable=False)
    server.start()
    try:
        assert server.pid is not None
        assert state.path / "engine" in Path(psutil.Process(server.pid).exe()).parents
    finally:
        server.stop()


async def test_killed_launcher_leaves_nothing_behind(state: StateFolder) -> None:
    launcher, _ = _launch(state, "throw-away")
    left = processes_of(state.path)
    assert len(left) >= 4
    _kill(launcher)
    assert psutil.wait_procs(left, timeout=30)[1] == []
    await until(lambda: not state.path.exists(), 10, "the throw-away state is removed")
    assert processes_of(state.path) == []


async def test_next_start_ends_what_even_the_guard_left_and_keeps_the_data(state: StateFolder) -> None:
    launcher, url = _launch(state)
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS row")
    before = {name: find_process(state.pids / f"{name}.json") for name in ("postgres", "rabbitmq", "epmd")}
    for process in psutil.Process(launcher.pid).children():
        if "deploy.local.guard" in process.cmdline():
            process.kill()
    _kill(launcher)
    assert all(process and process.is_running() for process in before.values())

    said: list[str] = []
    again = start_engines(state, durable=True, environment=_machine(), progress=said.append)
    try:
        assert "Ended what an interrupted run had left" in said[0]
        assert not any(process and process.is_running() for process in before.values())
        with psycopg.connect(again.database_url) as connection:
            assert connection.execute("SELECT row FROM kept").fetchone() == (7,)
        assert log_in(again.amqp_url).suitable
    finally:
        again.stop()
    assert processes_of(state.path) == []
    assert list(state.pids.iterdir()) == []


def test_taken_port_is_named_with_its_owner(state: StateFolder) -> None:
    state.create()
    node = RabbitNode(state, _any_rabbit())
    with socket.socket() as intruder:
        intruder.bind(("127.0.0.1", 0))
        intruder.listen()
        port = intruder.getsockname()[1]
        node.use_ports(amqp=port, distribution=state.port("distribution"), epmd=state.port("epmd"))
        with pytest.raises(PortTakenError, match=rf"Port {port} .*process {os.getpid()}"):
            node.start()
    assert processes_of(state.path) == []


def test_path_that_rabbitmq_cannot_stand_is_refused_in_words() -> None:
    with pytest.raises(LocalError, match="its path contains '"):
        RabbitNode(StateFolder(Path("/tmp/it's")), _any_rabbit())


def _any_rabbit() -> RabbitBinaries:
    return RabbitBinaries(Path("/nowhere"), Path("/nowhere"), "3.10.8")


def _machine() -> dict[str, str]:
    return {"BOXOFFICE_ENGINES": os.environ.get("BOXOFFICE_ENGINES", "machine")}


def _launch(state: StateFolder, *arguments: str) -> tuple[subprocess.Popen[str], str]:
    launcher = subprocess.Popen(
        [sys.executable, "-c", LAUNCHER, str(state.path), *arguments],
        env={**os.environ, **_machine(), "PYTHONPATH": str(PROJECT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert launcher.stdout is not None
    url = launcher.stdout.readline().strip()
    assert url, "the launcher did not start its engines"
    return launcher, url


def _kill(launcher: subprocess.Popen[str]) -> None:
    launcher.send_signal(signal.SIGKILL)
    launcher.wait()
    assert launcher.stdout is not None
    launcher.stdout.close()
