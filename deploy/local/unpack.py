"""RabbitMQ and Erlang from the distribution's packages, unpacked under the project. No root, nothing installed.

apt itself decides which packages are missing, downloads them and checks the distribution's signatures: the key signs
the release, the release has the hashes of the lists, the lists have the hashes of the packages, and what does not match
is not unpacked. Only apt's state (lists, archives, the record of what is installed) is a private copy.
"""

import contextlib
import fcntl
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from deploy.local.errors import EngineMissingError
from deploy.local.rabbitmq import RabbitBinaries
from deploy.local.state import PROJECT, make_folder
from deploy.machine.engine_homes import PACKAGES_INSTALLED, apt_can_unpack, rabbitmq_suits, rabbitmq_version

APT_SECONDS = 600
UNPACK_SECONDS = 120
CHECK_SECONDS = 30
NEEDED_BYTES = 400_000_000
BUILT_FOR = "/usr/lib/erlang"

NO_SETTINGS: Mapping[str, str] = {}
# A system may be set up to take packages that nobody signed. We do not.
SIGNED_ONLY = {
    "Acquire::AllowInsecureRepositories": "false",
    "Acquire::AllowWeakRepositories": "false",
    "Acquire::AllowDowngradeToInsecureRepositories": "false",
    "APT::Get::AllowUnauthenticated": "false",
}

Progress = Callable[[str], None]


def find_rabbitmq(
    progress: Progress,
    folder: Path = PROJECT / ".boxoffice" / "engines",
    *,
    marks: Mapping[str, str] = NO_SETTINGS,
    apt_settings: Mapping[str, str] = NO_SETTINGS,
) -> RabbitBinaries:
    """RabbitMQ under the folder; downloaded and unpacked the first time, without network after that.

    `marks` go into the environment of every program that is started; `apt_settings` come on top of the system's own.
    Raises EngineMissingError with the reason.
    """
    if not apt_can_unpack():
        raise EngineMissingError("unpacking packages needs apt, and this system has none")
    make_folder(folder)
    with _only_one(folder):
        root = folder / "rabbitmq"
        if not root.exists():
            _download_and_unpack(folder, root, progress, marks, apt_settings)
        binaries = _binaries_in(root)
        _relocate(binaries.erlang)
        _check_erlang(binaries)
        return binaries


@contextlib.contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """Two starts at once: the second waits, and finds what the first unpacked."""
    with (folder / "lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _download_and_unpack(
    folder: Path, root: Path, progress: Progress, marks: Mapping[str, str], apt_settings: Mapping[str, str]
) -> None:
    if shutil.disk_usage(folder).free < NEEDED_BYTES:
        raise EngineMissingError(f"unpacking RabbitMQ needs {NEEDED_BYTES // 1_000_000} MB of free disk in {folder}")
    for left in folder.glob("unfinished-*"):
        shutil.rmtree(left, ignore_errors=True)
    # A name of its own: a download whose launcher was killed may still be writing into the other one.
    work = Path(tempfile.mkdtemp(prefix="unfinished-", dir=folder))
    try:
        apt = Apt(work / "apt", marks, apt_settings)
        progress("Reading the list of this system's packages")
        apt.run("apt-get", "update")
        _require_suitable(apt.run("apt-cache", "show", "--no-all-versions", "rabbitmq-server"))
        progress("Downloading RabbitMQ and Erlang from this system's package archive (about 35 MB, once)")
        apt.run("apt-get", "install", "--yes", "--download-only", "--no-install-recommends", "rabbitmq-server")
        progress("Unpacking RabbitMQ and Erlang")
        for package in apt.packages():
            _run(["dpkg-deb", "-x", str(package), str(work / "root")], UNPACK_SECONDS, "unpacking a package", marks)
        (work / "root").rename(root)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _require_suitable(description: str) -> None:
    version = next((line[9:] for line in description.splitlines() if line.startswith("Version: ")), "")
    if not rabbitmq_suits(version):
        raise EngineMissingError(f"this system's packages have RabbitMQ {version or '(none)'}; 3.10 or newer is needed")


class Apt:
    """apt with a private state, in which neither RabbitMQ nor Erlang is installed."""

    def __init__(self, folder: Path, marks: Mapping[str, str], settings: Mapping[str, str]) -> None:
        self._folder = folder
        self._marks = marks
        for part in ("lists/partial", "archives/partial"):
            (folder / part).mkdir(parents=True)
        (folder / "status").write_text(_installed_without_rabbitmq())
        self._configuration = folder / "apt.conf"
        self._configuration.write_text(self._text({**settings, **self._own_settings(), **SIGNED_ONLY}))

    def run(self, program: str, *arguments: str) -> str:
        """Run one of apt's programs; returns what it printed."""
        command = [program, "--config-file", str(self._configuration), *arguments]
        return _run(command, APT_SECONDS, f"`{program}`", self._marks)

    def packages(self) -> list[Path]:
        """The downloaded packages; apt has checked each against the signed list."""
        return sorted((self._folder / "archives").glob("*.deb"))

    def _own_settings(self) -> dict[str, str]:
        return {
            "Dir::State": f"{self._folder}",
            "Dir::State::lists": f"{self._folder}/lists",
            "Dir::State::status": f"{self._folder}/status",
            "Dir::Cache": f"{self._folder}",
            "Dir::Cache::archives": f"{self._folder}/archives",
            "Debug::NoLocking": "true",
            "APT::Sandbox::User": "root",
            "APT::Update::Error-Mode": "any",
            "Acquire::Retries": "2",
            "Acquire::http::Timeout": "30",
            "Acquire::https::Timeout": "30",
        }

    @staticmethod
    def _text(settings: Mapping[str, str]) -> str:
        # The hooks of the system tidy up the system's own cache, which is not ours to touch.
        hooks = ("APT::Update::Pre-Invoke", "APT::Update::Post-Invoke", "APT::Update::Post-Invoke-Success")
        lines = [f'{name} "{value}";' for name, value in settings.items()]
        return "\n".join([*(f"#clear {hook};" for hook in hooks), *lines, ""])


def _installed_without_rabbitmq() -> str:
    stanzas = PACKAGES_INSTALLED.read_text(encoding="utf-8", errors="replace").split("\n\n")
    return "\n\n".join(
        part for part in stanzas if not part.startswith(("Package: rabbitmq-server\n", "Package: erlang"))
    )


def _run(command: list[str], timeout_seconds: float, what: str, environment: Mapping[str, str] | None = None) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - the command is ours
            command,
            env={**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive", **(environment or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
            timeout=timeout_seconds,
        )
    except subprocess.TimeoutExpired as error:
        raise EngineMissingError(f"{what} did not finish within {timeout_seconds:.0f} s") from error
    except subprocess.CalledProcessError as error:
        raise EngineMissingError(f"{what} failed (is there a network?): {_reason(error)}") from error
    return done.stdout


def _reason(error: subprocess.CalledProcessError) -> str:
    """apt begins the lines that matter with `E:`; other programs say what matters last."""
    said = error.stderr or error.stdout or ""
    marked = " ".join(line for line in said.splitlines() if line.startswith("E: "))
    return marked[:400] or " ".join(said.split())[-400:]


def _binaries_in(root: Path) -> RabbitBinaries:
    homes = [
        home for home in root.glob("usr/lib/rabbitmq/lib/rabbitmq_server-*") if rabbitmq_suits(rabbitmq_version(home))
    ]
    erlang = root / "usr/lib/erlang"
    if not homes or not list(erlang.glob("erts-*/bin/erlexec")):
        raise EngineMissingError(f"{root} holds no usable RabbitMQ; remove that folder to download it again")
    libraries = tuple(folder for pattern in ("usr/lib/*-linux-*", "lib/*-linux-*") for folder in root.glob(pattern))
    return RabbitBinaries(homes[0], erlang, rabbitmq_version(homes[0]), libraries)


def _relocate(erlang: Path) -> None:
    """Tell the `erl` script where it is now. At every start, because the project's folder may have been moved."""
    script = erlang / "bin" / "erl"
    original = erlang / "bin" / "erl.packaged"
    if not original.exists():
        shutil.copy2(script, original)
    text = original.read_text().replace(f"ROOTDIR={BUILT_FOR}", f"ROOTDIR={shlex.quote(str(erlang))}")
    if script.read_text() != text:
        script.write_text(text)


def _check_erlang(binaries: RabbitBinaries) -> None:
    """Run it once with its cryptography, which is what lacks a library first."""
    libraries = ":".join(str(folder) for folder in binaries.libraries)
    question = "{ok, _} = application:ensure_all_started(crypto), halt(0)."
    environment = {"LD_LIBRARY_PATH": libraries} if libraries else {}
    _run([str(binaries.erlang / "bin" / "erl"), "-noshell", "-eval", question], CHECK_SECONDS, "Erlang", environment)
