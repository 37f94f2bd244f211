"""Packages are unpacked as the distribution signed them, or not at all. A small signed archive stands for it."""

import hashlib
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.local import unpack
from deploy.local.errors import EngineMissingError
from deploy.local.rabbitmq import RabbitBinaries
from deploy.machine.engine_homes import apt_can_unpack
from tests.requirements import required


@dataclass(frozen=True)
class Archive:
    """An archive of one package, in a folder, signed with a key of its own."""

    folder: Path
    keys: Path

    @property
    def package(self) -> Path:
        return self.folder / "rabbitmq-server_3.10.8_all.deb"

    def publish(self, version: str = "3.10.8") -> None:
        """Build the package, list it, sign the list."""
        self._build(version)
        packages = self._run("dpkg-deb", "--field", self.package)
        content = self.package.read_bytes()
        sums = f"Filename: ./{self.package.name}\nSize: {len(content)}\nSHA256: {hashlib.sha256(content).hexdigest()}\n"
        (self.folder / "Packages").write_text(f"{packages.rstrip()}\n{sums}")
        self.sign()

    def sign(self, name: str = "Distribution") -> None:
        listed = (self.folder / "Packages").read_bytes()
        release = self.folder / "Release"
        release.write_text(
            "Suite: test\nCodename: test\nDate: Tue, 01 Jan 2030 00:00:00 UTC\n"
            f"SHA256:\n {hashlib.sha256(listed).hexdigest()} {len(listed)} Packages\n"
        )
        self._gpg("--clearsign", "--local-user", name, "--output", self.folder / "InRelease", release)

    def make_key(self, name: str) -> Path:
        self._gpg("--passphrase", "", "--quick-generate-key", name, "default", "default", "never")
        key = self.keys / f"{name}.gpg"
        self._gpg("--output", key, "--export", name)
        return key

    def find_rabbitmq(self, engines: Path) -> RabbitBinaries:
        """What the resolver does, with this archive as the system's only one."""
        sources = self.keys / "sources.list"
        sources.write_text(f"deb [signed-by={self.keys}/Distribution.gpg] copy:{self.folder} ./\n")
        settings = {"Dir::Etc::sourcelist": str(sources), "Dir::Etc::sourceparts": "/dev/null"}
        # Whatever the system allows itself, and whatever the clock says: only signatures are looked at here.
        lax = {"Acquire::AllowInsecureRepositories": "true", "APT::Get::AllowUnauthenticated": "true"}
        return unpack.find_rabbitmq(print, engines, apt_settings={**settings, **lax, "Acquire::Check-Date": "false"})

    def _build(self, version: str) -> None:
        root = self.keys / "package"
        shutil.rmtree(root, ignore_errors=True)
        (root / "usr/lib/rabbitmq/lib/rabbitmq_server-3.10.8/plugins/rabbit-3.10.8").mkdir(parents=True)
        for program in ("usr/lib/erlang/bin/erl", "usr/lib/erlang/erts-13.1/bin/erlexec"):
            (root / program).parent.mkdir(parents=True)
            (root / program).write_text("#!/bin/sh\nROOTDIR=/usr/lib/erlang\nexit 0\n")
            (root / program).chmod(0o755)
        (root / "DEBIAN").mkdir()
        (root / "DEBIAN/control").write_text(
            f"Package: rabbitmq-server\nVersion: {version}\nArchitecture: all\n"
            "Maintainer: A Test <test@example.com>\nDescription: a broker\n"
        )
        self._run("dpkg-deb", "--root-owner-group", "--build", root, self.package)

    def _gpg(self, *arguments: str | Path) -> None:
        self._run(
            "gpg", "--batch", "--yes", "--homedir", self.keys / "gnupg", "--pinentry-mode", "loopback", *arguments
        )

    @staticmethod
    def _run(*command: str | Path) -> str:
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    required(apt_can_unpack() and shutil.which("gpg"), "apt and gpg are needed for this test")
    folder = tmp_path_factory.mktemp("archive")
    # Short, because the key agent's socket is in it.
    made = Archive(folder / "packages", folder)
    for part in (made.folder, folder / "gnupg"):
        part.mkdir(mode=0o700)
    made.make_key("Distribution")
    yield made
    subprocess.run(["gpgconf", "--homedir", folder / "gnupg", "--kill", "all"], check=True)


@pytest.fixture
def engines(tmp_path: Path) -> Path:
    return tmp_path / "a folder with a space" / "engines"


def test_signed_package_is_unpacked(archive: Archive, engines: Path) -> None:
    archive.publish()
    found = archive.find_rabbitmq(engines)
    assert found.version == "3.10.8"
    assert engines in found.home.parents
    assert f"ROOTDIR='{found.erlang}'" in (found.erlang / "bin/erl").read_text()
    assert sorted(path.name for path in engines.iterdir()) == ["lock", "rabbitmq"]


def test_altered_package_is_refused(archive: Archive, engines: Path) -> None:
    archive.publish()
    content = bytearray(archive.package.read_bytes())
    content[-1] ^= 1
    archive.package.write_bytes(content)
    refused(archive, engines, "Hash Sum mismatch")


def test_altered_list_is_refused(archive: Archive, engines: Path) -> None:
    archive.publish()
    packages = archive.folder / "Packages"
    packages.write_text(packages.read_text().replace("a broker", "a joker!"))
    refused(archive, engines, "Hash Sum mismatch")


def test_list_signed_by_a_stranger_is_refused(archive: Archive, engines: Path) -> None:
    archive.publish()
    archive.make_key("Stranger")
    archive.sign("Stranger")
    refused(archive, engines, "is not signed")


def test_unsigned_list_is_refused_even_where_the_system_would_take_it(archive: Archive, engines: Path) -> None:
    archive.publish()
    (archive.folder / "InRelease").unlink()
    refused(archive, engines, "is not signed")


def test_too_old_package_is_refused_by_name(archive: Archive, engines: Path) -> None:
    archive.publish("3.9.13")
    refused(archive, engines, "RabbitMQ 3.9.13; 3.10 or newer is needed")


def refused(archive: Archive, engines: Path, words: str) -> None:
    with pytest.raises(EngineMissingError, match=words):
        archive.find_rabbitmq(engines)
    assert [path.name for path in engines.iterdir()] == ["lock"], "nothing of it stays"
