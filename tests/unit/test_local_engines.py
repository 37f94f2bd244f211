"""The resolver's decisions and its words, without an engine."""

import json
import shutil
import socket
import stat
from pathlib import Path
from types import SimpleNamespace

import pytest

from deploy.local import containers, postgres, preflight, rabbitmq_find, unpack
from deploy.local.engines import start_engines, ways_in_order
from deploy.local.errors import EngineMissingError, LocalError, PortTakenError
from deploy.local.logs import explain_log
from deploy.local.ports import require_free
from deploy.local.processes import find_process
from deploy.local.state import StateFolder
from deploy.machine import engine_homes


def test_ways_are_tried_in_the_documented_order() -> None:
    assert ways_in_order({}) == ("given", "machine", "unpacked", "containers")
    assert ways_in_order({"BOXOFFICE_ENGINES": "containers"}) == ("containers", "given", "machine", "unpacked")


def test_unknown_way_is_refused_by_name() -> None:
    with pytest.raises(LocalError, match="BOXOFFICE_ENGINES is 'docker'"):
        ways_in_order({"BOXOFFICE_ENGINES": "docker"})


def test_machine_without_engines_is_told_every_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def missing(*_: object, **__: object) -> None:
        raise EngineMissingError("not here")

    for module, name in ((postgres, "find_on_machine"), (postgres, "find_in_wheel"), (containers, "find")):
        monkeypatch.setattr(module, name, missing)
    with pytest.raises(LocalError) as told:
        start_engines(StateFolder(tmp_path), durable=False, environment={})
    text = str(told.value)
    for words in ("given: BOXOFFICE_DATABASE_URL is not set", "machine: not here", "unpacked: not here", "containers:"):
        assert words in text


def test_old_rabbitmq_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "plugins" / "rabbit-3.9.13").mkdir(parents=True)
    monkeypatch.setattr(engine_homes, "rabbitmq_homes", lambda: [tmp_path])
    with pytest.raises(EngineMissingError, match=r"RabbitMQ 3\.9\.13 in .* is older than 3\.10"):
        rabbitmq_find.find_on_machine()


@pytest.mark.parametrize(
    "home", ["lib/rabbitmq", "lib/rabbitmq_server-4.1.0", "lib/rabbitmq/lib/rabbitmq_server-4.1.0"]
)
def test_rabbitmq_beside_the_program_on_the_path_is_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, home: str
) -> None:
    (tmp_path / home / "plugins" / "rabbit-4.1.0").mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "rabbitmq-server"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert ("4.1.0", tmp_path / home) == engine_homes.newest_rabbitmq()


@pytest.mark.parametrize(("version", "suitable"), [("3.10.0", True), ("4.1.2", True), ("3.9.27", False), ("", False)])
def test_versions_are_compared_as_numbers(version: str, suitable: bool) -> None:
    assert engine_homes.rabbitmq_suits(version) is suitable


def test_system_without_apt_is_no_place_to_unpack(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(EngineMissingError, match="needs apt"):
        unpack.find_rabbitmq(print, tmp_path)


def test_containers_are_skipped_where_nothing_answers_a_ping(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with pytest.raises(EngineMissingError, match="no container engine"):
        containers.find("postgres", StateFolder(tmp_path), durable=False)


def test_docker_that_takes_the_call_and_is_silent_is_given_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(containers, "PING_SECONDS", 0.1)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/silent.sock")
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "silent.sock"))
        silent.listen()
        with pytest.raises(EngineMissingError, match=r"answers \(.*timed out"):
            containers.find("postgres", StateFolder(tmp_path), durable=False)


def test_taken_port_names_purpose_owner_and_remedy() -> None:
    with socket.socket() as intruder:
        intruder.bind(("127.0.0.1", 0))
        intruder.listen()
        port = intruder.getsockname()[1]
        with pytest.raises(PortTakenError, match=rf"Port {port} \(gateway\) is taken by .*process \d+.*Move away\."):
            require_free(port, "gateway", "Move away.")


def test_full_disk_is_told_before_anything_starts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1024**2))
    with pytest.raises(LocalError, match=r"MiB free; Boxoffice needs .*BOXOFFICE_STATE_DIR"):
        preflight.check_machine(tmp_path, print)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('could not write to file "x": No space left on device', "The disk is full."),
        ("{listen_error, eaddrinuse}", "A port it needs was taken"),
        ("beam.smp: error while loading shared libraries: libtinfo.so.6: cannot open", "A library of the system"),
    ],
)
def test_engines_log_is_put_into_plain_words(tmp_path: Path, line: str, words: str) -> None:
    log = tmp_path / "engine.log"
    log.write_text(f"starting\n{line}\n")
    assert words in explain_log(log)
    assert line in explain_log(log)


def test_secrets_are_made_once_and_only_for_their_owner(tmp_path: Path) -> None:
    state = StateFolder(tmp_path / "state")
    state.create()
    first = state.secret("token")
    assert StateFolder(tmp_path / "state").secret("token") == first
    assert stat.S_IMODE((state.path / "secrets.json").stat().st_mode) == 0o600


def test_remembered_port_is_left_to_whoever_took_it(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    state.create()
    first = state.port("amqp")
    assert state.port("amqp") == first
    with socket.socket() as intruder:
        intruder.bind(("127.0.0.1", first))
        intruder.listen()
        assert state.port("amqp") != first


def test_one_launcher_at_a_time_has_a_state_folder(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    state.create()
    with state.lock() as first, state.lock() as second:
        assert (first, second) == (True, False)
    with state.lock() as third:
        assert third


def test_process_number_given_to_another_process_is_not_ours(tmp_path: Path) -> None:
    pid_file = tmp_path / "orders.json"
    pid_file.write_text(json.dumps({"pid": 1, "created": 1.0, "stage": 1, "signal": 15}))
    assert find_process(pid_file) is None


def test_damaged_file_of_the_state_is_named(tmp_path: Path) -> None:
    (tmp_path / "ports.json").write_text("{")
    with pytest.raises(LocalError, match=r"ports\.json is damaged"):
        StateFolder(tmp_path).port("amqp")
