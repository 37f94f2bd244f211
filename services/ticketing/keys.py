"""Keys as they stand in settings and files: an id, a colon, 64 hex digits; several are separated by commas."""

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

#: A file of keys is far smaller.
MOST_FILE_BYTES = 64 * 1024
_KEY = re.compile(r"([A-Za-z0-9_-]{1,16}):([0-9a-fA-F]{64})")
_OTHERS = stat.S_IROTH | stat.S_IWOTH


def parse_hex_keys(text: str) -> dict[str, bytes]:
    """``id:64hex[,id:64hex]`` as a mapping in that order. Raises ValueError, which never repeats a key."""
    keys: dict[str, bytes] = {}
    for part in text.split(","):
        match = _KEY.fullmatch(part.strip())
        if match is None:
            raise ValueError("must be id:64 hex digits[,id:64 hex digits]; an id has 1 to 16 of A-Z a-z 0-9 _ -")
        if match[1] in keys:
            raise ValueError(f"the key id {match[1]} is there twice")
        keys[match[1]] = bytes.fromhex(match[2])
    return keys


def read_keys_file(path: Path) -> str:
    """The keys in a file, as ``parse_hex_keys`` reads them: one a line or with commas; ``#`` begins a line of comment.

    Raises ValueError, which never repeats what is in the file: when it cannot be read, and when everybody on the
    machine may read or change it. Its owner and group may: that is how clusters hand secrets to a process.
    """
    try:
        with path.open("rb") as file:
            # The open file's mode, not the path's: another file cannot take its place between look and read.
            mode = os.fstat(file.fileno()).st_mode
            content = file.read(MOST_FILE_BYTES + 1)
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None
    if mode & _OTHERS:
        raise ValueError(f"is open to everybody on this machine (mode {stat.S_IMODE(mode):04o}); take that away")
    if len(content) > MOST_FILE_BYTES:
        raise ValueError(f"has more than {MOST_FILE_BYTES} bytes")
    lines = [line.strip().strip(",") for line in content.decode("ascii", errors="replace").splitlines()]
    return ",".join(line for line in lines if line and not line.startswith("#"))


def public_keys(seeds: Mapping[str, bytes]) -> dict[str, bytes]:
    """The Ed25519 public key (32 bytes) of each seed."""
    return {
        key_id: Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
        for key_id, seed in seeds.items()
    }
