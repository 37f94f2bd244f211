"""Settings of ticketing, from the environment."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import SettingsConfigDict

from services.ticketing.codes import LEAST_DIGITS, MOST_DIGITS
from services.ticketing.keyring import KeyRing, parse_cut_offs
from services.ticketing.keys import parse_hex_keys, read_keys_file
from shared.runtime.settings import DatabaseSettings, Port, RoleTokens, Seconds, parse_roles


def _check_keys_file(path: Path) -> Path:
    parse_hex_keys(read_keys_file(path))
    return path


#: A file of ``id:64 hex``, one a line, that not everybody may read.
KeysFile = Annotated[Path, AfterValidator(_check_keys_file)]


class TicketingSettings(DatabaseSettings):
    """Keys and lengths. The first key of each list that is not compromised signs; the others check what they signed."""

    model_config = SettingsConfigDict(env_prefix="TICKETING_", frozen=True, extra="ignore", hide_input_in_errors=True)

    http_port: Port = 8083
    #: Where the master keys are, if not in ``master_keys``.
    master_keys_file: KeysFile | None = None
    #: ``id:64 hex``: the master keys from which each event's key is derived.
    master_keys: Annotated[SecretStr, Field(validate_default=True)] = SecretStr("")
    #: ``id:time``: master keys that somebody else may have had from then on.
    compromised_master_keys: str | None = None
    #: Where the signing keys are, if not in ``signing_keys``.
    signing_keys_file: KeysFile | None = None
    #: ``id:64 hex``: the Ed25519 seeds that sign QR texts.
    signing_keys: Annotated[SecretStr, Field(validate_default=True)] = SecretStr("")
    #: ``id:time``: signing keys that somebody else may have had from then on.
    compromised_signing_keys: str | None = None
    #: Hex digits of a code's signature.
    signature_hex: Annotated[int, Field(ge=LEAST_DIGITS, le=MOST_DIGITS)] = LEAST_DIGITS
    #: How long after its event's end a QR is still valid; shows run late.
    valid_after_end_seconds: Seconds = 24 * 3600.0
    #: How long before its event's start a ticket is let in, unless the organiser says when the gates open.
    valid_before_start_seconds: Seconds = 12 * 3600.0
    #: What a digest in a gate pack costs: Argon2id's KiB of memory and passes. Holds for events that are new to gates.
    gate_hash_memory_kib: Annotated[int, Field(ge=8, le=1024 * 1024)] = 19 * 1024
    gate_hash_passes: Annotated[int, Field(ge=1, le=64)] = 2
    #: How often gate packs are looked at.
    gate_publish_seconds: Seconds = 2.0
    #: ``role:token``; organiser and operator may read tickets here, gate and supervisor let guests in.
    admin_tokens: RoleTokens

    @field_validator("master_keys", "signing_keys")
    @classmethod
    def _are_hex_keys(cls, keys: SecretStr, info: ValidationInfo) -> SecretStr:
        text = keys.get_secret_value()
        file_field = f"{info.field_name}_file"
        if file_field not in info.data:
            return keys  # The file is wrong, and was named already.
        path: Path | None = info.data[file_field]
        if path is not None and text:
            raise ValueError(f"there is {file_field} too; give one of them")
        if path is None and not text:
            # The type is what says "is not set" instead of "is wrong".
            raise PydanticCustomError("missing", "is not set")
        listed = text if path is None else read_keys_file(path)
        parse_hex_keys(listed)
        return SecretStr(listed)

    @field_validator("compromised_master_keys", "compromised_signing_keys")
    @classmethod
    def _leave_a_key_to_sign(cls, text: str | None, info: ValidationInfo) -> str | None:
        keys: SecretStr | None = info.data.get(str(info.field_name).removeprefix("compromised_"))
        if text is None or keys is None or not keys.get_secret_value():
            return text
        ring = _ring(keys, text)
        for key_id in ring.compromised_at:
            # A slip of the pen would otherwise leave a stolen key in use.
            if key_id not in ring.key_ids:
                raise ValueError(f"there is no key {key_id}")
        if ring.signing_id is None:
            raise ValueError("no key is left to sign with; add a new one")
        return text

    @property
    def master_ring(self) -> KeyRing:
        """The master keys by id, without the keys."""
        return _ring(self.master_keys, self.compromised_master_keys)

    @property
    def signing_ring(self) -> KeyRing:
        """The signing keys by id, without the keys."""
        return _ring(self.signing_keys, self.compromised_signing_keys)

    @property
    def roles_by_token(self) -> dict[str, str]:
        """Token to role."""
        return parse_roles(self.admin_tokens)


def _ring(keys: SecretStr, compromised: str | None) -> KeyRing:
    cut_offs = parse_cut_offs(compromised) if compromised else {}
    return KeyRing(tuple(parse_hex_keys(keys.get_secret_value())), cut_offs)
