"""Keys as they stand in settings and files: an id, a colon, 64 hex digits; several are separated by commas."""

import re
from collections.abc import Mapping

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_KEY = re.compile(r"([A-Za-z0-9_-]{1,16}):([0-9a-fA-F]{64})")


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


def public_keys(seeds: Mapping[str, bytes]) -> dict[str, bytes]:
    """The Ed25519 public key (32 bytes) of each seed."""
    return {
        key_id: Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
        for key_id, seed in seeds.items()
    }
