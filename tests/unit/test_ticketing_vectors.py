"""The published vectors, checked from the document alone: by OpenSSL on the command line, and by the RFCs written out.

Nothing of ours is imported here, so that what the document says suffices to build a gate of one's own.
"""

import base64
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from uuid import UUID

import pytest

from tests.rfc_reference import ed25519_verify, hkdf_sha256, hmac_sha256

DOCUMENT = Path(__file__).parents[2] / "docs" / "tickets.md"
#: What stands before the 32 octets of an Ed25519 public key in a SubjectPublicKeyInfo (RFC 8410, section 4).
SPKI_HEAD = bytes.fromhex("302a300506032b6570032100")

Vector = Mapping[str, str]


def vectors() -> list[Vector]:
    blocks = re.findall(r"```json\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    found: list[Vector] = json.loads(blocks[-1])
    return found


class OpenSsl:
    """OpenSSL 3 on the command line."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def hkdf(self, key: bytes, info: bytes, length: int) -> bytes:
        options = ["digest:SHA256", f"hexkey:{key.hex()}", f"hexinfo:{info.hex()}"]
        given = [word for option in options for word in ("-kdfopt", option)]
        return self._hex(self._run("kdf", "-keylen", str(length), *given, "HKDF"))

    def hmac(self, key: bytes, message: bytes) -> bytes:
        (self._folder / "message").write_bytes(message)
        return self._hex(
            self._run("mac", "-digest", "SHA256", "-macopt", f"hexkey:{key.hex()}", "-in", "message", "HMAC")
        )

    def verify(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        body = base64.encodebytes(SPKI_HEAD + public_key).decode()
        (self._folder / "key.pem").write_text(f"-----BEGIN PUBLIC KEY-----\n{body}-----END PUBLIC KEY-----\n")
        (self._folder / "signed").write_bytes(message)
        (self._folder / "signature").write_bytes(signature)
        done = self._call(
            "pkeyutl", "-verify", "-pubin", "-inkey", "key.pem", "-rawin", "-in", "signed", "-sigfile", "signature"
        )
        return done.returncode == 0 and "Signature Verified Successfully" in done.stdout

    def _run(self, *arguments: str) -> str:
        done = self._call(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["openssl", *arguments], cwd=self._folder, capture_output=True, text=True, timeout=60, check=False
        )

    def _hex(self, text: str) -> bytes:
        return bytes.fromhex(text.strip().replace(":", ""))


class Reference:
    """The RFCs, written out."""

    hkdf: Callable[[bytes, bytes, int], bytes] = staticmethod(hkdf_sha256)
    hmac: Callable[[bytes, bytes], bytes] = staticmethod(hmac_sha256)
    verify: Callable[[bytes, bytes, bytes], bool] = staticmethod(ed25519_verify)


Checker = OpenSsl | Reference


@pytest.fixture(params=["openssl", "the RFCs"])
def checker(request: pytest.FixtureRequest, tmp_path: Path) -> Checker:
    if request.param == "the RFCs":
        return Reference()
    if shutil.which("openssl") is None and not os.environ.get("CI"):
        # Only where a person works: the RFCs above check the same vectors. A build server has to have it.
        pytest.skip("there is no openssl here; the RFCs were asked instead")
    return OpenSsl(tmp_path)


BY_CODE = [pytest.param(vector, id=vector["code"]) for vector in vectors()]
every_vector = partial(pytest.mark.parametrize, "vector", BY_CODE)


@every_vector()
def test_the_published_codes_are_hmacs_under_the_events_key(vector: Vector, checker: Checker) -> None:
    event = UUID(vector["event_id"]).bytes
    event_key = checker.hkdf(bytes.fromhex(vector["master_key"]), b"boxoffice/event-key/1/" + event, 32)
    assert event_key.hex() == vector["event_key"]
    reference, number, signature = vector["code"].split("-")
    message = b"boxoffice/ticket-code/1/" + event + reference.encode() + int(number).to_bytes(4, "big")
    assert checker.hmac(event_key, message + bytes([len(signature)])).hex()[: len(signature)] == signature
    other = message[:-1] + bytes([message[-1] ^ 1]) + bytes([len(signature)])
    assert checker.hmac(event_key, other).hex()[: len(signature)] != signature


@every_vector()
def test_the_published_qrs_are_signed_by_the_published_keys(vector: Vector, checker: Checker) -> None:
    body = vector["qr"].removeprefix("BX1.")
    octets = base64.b32decode(body + "=" * (-len(body) % 8))
    payload, signature = octets[:-64], octets[-64:]
    assert payload.hex() == vector["payload"]
    public_key = bytes.fromhex(vector["public_key"])
    signed = b"boxoffice/ticket-qr/1/" + payload
    assert checker.verify(public_key, signed, signature)
    for position in range(0, len(payload), 7):
        changed = bytearray(signed)
        changed[len(signed) - len(payload) + position] ^= 1
        assert not checker.verify(public_key, bytes(changed), signature)
    assert not checker.verify(public_key, payload, signature), "without its context it is signed too"


@every_vector()
def test_the_published_payloads_are_laid_out_as_the_table_says(vector: Vector) -> None:
    payload = bytes.fromhex(vector["payload"])
    reference, number, signature = vector["code"].split("-")
    key_id_at = 50 + (len(signature) + 1) // 2
    assert payload[0] == 1
    assert UUID(bytes=payload[1:17]) == UUID(vector["event_id"])
    assert payload[17:23].decode() == reference
    assert int.from_bytes(payload[23:25], "big") == int(number)
    assert UUID(bytes=payload[25:41]) == UUID(vector["tier_id"])
    assert payload[49] == len(signature)
    assert payload[50:key_id_at].hex()[: len(signature)] == signature
    assert payload[key_id_at] == len(payload) - key_id_at - 1
    assert payload[key_id_at + 1 :].decode() == vector["key_id"]


def test_the_rfcs_own_vectors_hold_for_what_was_written_out_here() -> None:
    """RFC 4231 case 2, RFC 5869 case 3, RFC 8032 section 7.1 tests 1 and 3."""
    assert hmac_sha256(b"Jefe", b"what do ya want for nothing?").hex().startswith("5bdcc146bf60754e6a042426089575c7")
    assert hkdf_sha256(b"\x0b" * 22, b"", 42).hex().startswith("8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879e")
    empty = bytes.fromhex(
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
        "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
    )
    assert ed25519_verify(bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"), b"", empty)
    third = bytes.fromhex(
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
        "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
    )
    key = bytes.fromhex("fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025")
    assert ed25519_verify(key, bytes.fromhex("af82"), third)
    assert not ed25519_verify(key, bytes.fromhex("af83"), third)
