"""A stranger's first hour, on a machine that is nobody's favourite: `make demo` passes and leaves nothing behind.

An empty home, no RabbitMQ and no PostgreSQL on the path, a long path with spaces, port 8080 taken, umask 077: first as
a user without any rights, then, in the same clone moved to another folder, as root. Only this: `pytest -m newcomer`.
"""

import contextlib
import os
import pwd
import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import psutil
import pytest

from deploy.local.accounts import ELSEWHERE, engine_account
from deploy.local.plan import PORTS
from deploy.local.state import MARKER, PROJECT
from tests.processes import LOOPBACK, has_ended, listening_addresses, processes_of
from tests.requirements import required

DEMO_SECONDS = 800
pytestmark = [pytest.mark.newcomer, pytest.mark.timeout(DEMO_SECONDS + 60)]

AS_ROOT = os.geteuid() == 0
HIDDEN = ("erl", "epmd", "rabbitmq", "postgres", "initdb", "pg_", "docker", "podman")
PASSED_ON = ("PIP_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_", "CI")
MADE_BY_USE = {".venv", ".boxoffice", "__pycache__", "boxoffice.egg-info"}


@dataclass
class Newcomer:
    """Somebody with a clone of the project, and nothing else."""

    base: Path
    clone: Path
    account: pwd.struct_passwd | None
    """Somebody else than we are; None: we ourselves."""

    @property
    def home(self) -> Path:
        return self.base / "home"

    @property
    def path(self) -> Path:
        return self.base / "path"

    def make(self, target: str, settings: Mapping[str, str]) -> subprocess.Popen[str]:
        kept = {name: value for name, value in os.environ.items() if name.upper().startswith(PASSED_ON)}
        account = self.account
        return subprocess.Popen(
            ["make", target],
            cwd=self.clone,
            env={**kept, **settings, "HOME": str(self.home), "PATH": str(self.path)},
            umask=0o077,
            user=account.pw_uid if account else None,
            group=account.pw_gid if account else None,
            extra_groups=[] if account else None,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            bufsize=1,
        )

    def processes(self) -> list[psutil.Process]:
        """Everything of the clone, and everything of a user who had nothing running before."""
        found = processes_of(self.clone)
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if self.account and process.uids().real == self.account.pw_uid:
                    found.append(process)
        return [process for process in found if not has_ended(process)]

    def files_outside(self) -> list[Path]:
        """What is in the home, and what is the user's own wherever anybody may write."""
        found = list(self.home.iterdir())
        for shared in ("/tmp", "/var/tmp", "/dev/shm", "/run/lock"):
            with contextlib.suppress(OSError):
                found.extend(entry for entry in Path(shared).iterdir() if self._is_ours(entry))
        return found

    def _is_ours(self, entry: Path) -> bool:
        with contextlib.suppress(OSError):
            if self.account:
                return entry.owner() == self.account.pw_name and entry != self.base
            # As ourselves we cannot be told apart from all others by name; but our data elsewhere says whose it is.
            return entry.parent == ELSEWHERE and str(self.clone) in (entry / MARKER).read_text()
        return False


@pytest.fixture(scope="module")
def newcomer() -> Iterator[Newcomer]:
    base = Path(tempfile.mkdtemp(prefix="boxoffice-newcomer-"))
    base.chmod(0o711)
    account = _somebody() if AS_ROOT else None
    long = base / "a folder with spaces" / "and a path that is longer than anybody would like it to be" / ("x" * 100)
    made = Newcomer(base, long / "boxoffice", account)
    _hide_engines(made.path)
    required(_has_suitable_python(made), "no Python 3.11 to 3.14 here that another user may run")
    made.home.mkdir(0o700)
    _clone(made.clone)
    if account:
        for folder in (made.home, base / "a folder with spaces"):
            _give(folder, account.pw_uid, account.pw_gid)
    yield made
    shutil.rmtree(base, ignore_errors=True)


@pytest.fixture(autouse=True)
def port_8080_is_taken() -> Iterator[None]:
    """By us, if nobody else has it."""
    with socket.socket() as intruder, contextlib.suppress(OSError):
        intruder.bind(("127.0.0.1", PORTS["gateway"]))
        intruder.listen()
        yield
        return
    yield


def test_demo_passes_for_somebody_without_any_rights(newcomer: Newcomer) -> None:
    # PostgreSQL may be installed for everybody; this one takes that of the packages, as where there is none.
    said = run_demo(newcomer, {"BOXOFFICE_ENGINES": "unpacked"})
    assert said.count("(unpacked for this project") == 2
    assert "Installing the locked packages" in said
    assert "Downloading RabbitMQ and Erlang from this system's package archive" in said


@pytest.mark.skipif(not AS_ROOT, reason="only root can do it as root")
def test_demo_passes_for_root_in_a_clone_that_was_moved(newcomer: Newcomer) -> None:
    moved = newcomer.base / "moved to a shelf"
    newcomer.clone.rename(moved)
    # As below /root: nobody else may pass here, so the engine's own user needs its data elsewhere.
    moved.chmod(0o700)
    _give(moved, 0, 0)
    _give(newcomer.home, 0, 0)
    said = run_demo(Newcomer(newcomer.base, moved, None))
    assert "Installing" not in said
    assert "Downloading" not in said


def run_demo(newcomer: Newcomer, settings: Mapping[str, str] = MappingProxyType({})) -> str:
    """`make demo`, looked at while it runs and after it."""
    before = {path for path in newcomer.clone.rglob("*") if not MADE_BY_USE & set(path.parts)}
    lines = []
    with newcomer.make("demo", settings) as demo:
        assert demo.stdout is not None
        for line in demo.stdout:
            lines.append(line)
            if "Boxoffice is ready" in line or "the Paystack sandbox and the mail catcher" in line:
                look_at_engines(newcomer, everything_ours=bool(settings))
        code = demo.wait(DEMO_SECONDS)
    said = "".join(lines)
    for words in ("needs a network", "is there a network?"):
        required(words not in said, f"the packages cannot be had here: {lines[-1]}")
    assert code == 0, said
    assert "Every sum holds." in said
    assert "FAILS" not in said
    for promise in ("P1", "P3", "P4", "P5", "P9"):
        assert f"holds {promise}" in " ".join(said.split()), promise
    assert re.search(r"RabbitMQ \S+ \(unpacked for this project\)", said)
    assert newcomer.processes() == []
    assert newcomer.files_outside() == []
    after = {path for path in newcomer.clone.rglob("*") if not MADE_BY_USE & set(path.parts)}
    assert after == before
    assert not list((newcomer.clone / ".boxoffice").glob("demo-*"))
    return said


def look_at_engines(newcomer: Newcomer, *, everything_ours: bool) -> None:
    """They are those of the clone, and they listen on this machine only."""
    found = newcomer.processes()
    programs = {}
    for process in found:
        with contextlib.suppress(psutil.NoSuchProcess):
            programs[process.name()] = Path(process.exe())
    for name in ("beam.smp", "epmd", *(["postgres"] if everything_ours else [])):
        assert newcomer.clone in programs[name].parents, programs[name]
    assert {address for address, _ in listening_addresses(found)} <= LOOPBACK


def _somebody() -> pwd.struct_passwd:
    """A user of this system who owns nothing and runs nothing, and is not the one under whom root runs engines."""
    engine = engine_account()
    busy = {process.uids().real for process in psutil.process_iter(["uids"])}
    taken = {0, *busy, engine.uid if engine else 0}
    free = [entry for entry in pwd.getpwall() if entry.pw_uid not in taken]
    required(free, "every user of this system is busy")
    # nobody first: it has the fewest files anywhere.
    return max(free, key=lambda entry: (entry.pw_name == "nobody", entry.pw_uid))


def _hide_engines(path: Path) -> None:
    """A path with everything this system has but engines."""
    path.mkdir()
    for folder in ("/usr/local/bin", "/usr/bin", "/bin"):
        for program in Path(folder).iterdir():
            if not program.name.startswith(HIDDEN) and not (path / program.name).is_symlink():
                (path / program.name).symlink_to(program)


def _has_suitable_python(newcomer: Newcomer) -> bool:
    account = newcomer.account
    done = subprocess.run(
        ["sh", PROJECT / "deploy" / "machine" / "find_python.sh"],
        env={"PATH": str(newcomer.path)},
        cwd="/",
        capture_output=True,
        user=account.pw_uid if account else None,
        group=account.pw_gid if account else None,
        extra_groups=[] if account else None,
        check=False,
    )
    return done.returncode == 0


def _clone(target: Path) -> None:
    """What a clone of the present state has: everything that git knows or would take, and nothing it ignores."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (PROJECT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(PROJECT / name, target / name)


def _give(folder: Path, uid: int, gid: int) -> None:
    for path in (folder, *folder.rglob("*")):
        os.chown(path, uid, gid, follow_symlinks=False)
