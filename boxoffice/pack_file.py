"""A gate pack in a file, as a device keeps it: opened with its signature checked, replaced whole."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from services.ticketing.pack import Pack, PackError, apply_delta, read_pack, trusted_keys, verify_pack


def load(path: Path, keys: Mapping[str, bytes] | None = None) -> tuple[dict[str, Any], Pack]:
    """The signed document and the pack in it. Raises PackError.

    ``keys``: public keys that may have signed it. Without them those in the pack itself are taken: that shows damage,
    and not who made it. `boxoffice gate pack` has checked that when it wrote the file.
    """
    try:
        document = orjson.loads(path.read_bytes())
    except OSError as error:
        raise PackError(f"{path}: {error.strerror}") from None
    except ValueError:
        raise PackError(f"{path} is no pack: it is not JSON") from None
    return document, open_signed(document, keys)


def open_signed(document: Any, keys: Mapping[str, bytes] | None = None) -> Pack:
    """The pack of a signed document. Raises PackError."""
    if not (isinstance(document, dict) and isinstance(document.get("pack"), dict)):
        raise PackError("this is no signed pack")
    pack = read_pack(document["pack"])
    trusted = (
        keys if keys is not None else {name: bytes.fromhex(key.public_key) for name, key in pack.public_keys.items()}
    )
    verify_pack(document["pack"], str(document.get("key_id")), str(document.get("signature")), trusted)
    return pack


def updated(old: Mapping[str, Any], answer: Mapping[str, Any]) -> dict[str, Any]:
    """The new signed document, out of the old one and ticketing's answer. Raises PackError, as for a rollback.

    Only keys that the old pack trusts are taken for the new one.
    """
    trusted = trusted_keys(read_pack(old["pack"]))
    pack = answer["pack"] if "pack" in answer else apply_delta(old["pack"], answer["delta"])
    new = {"pack": pack, "key_id": answer["key_id"], "signature": answer["signature"]}
    version = open_signed(new, trusted).version
    if version < old["pack"]["version"]:
        raise PackError(f"version {version} is older than version {old['pack']['version']}, which this device has")
    return new


def save(path: Path, document: Mapping[str, Any]) -> None:
    """Replace the file, readable by its owner only: a pack may hold an event's key."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(orjson.dumps(document, option=orjson.OPT_SORT_KEYS))
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
