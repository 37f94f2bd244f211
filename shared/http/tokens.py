"""Tokens in links: HMAC-SHA256 over purpose and order id, under a shared setting with several active keys."""

import base64
import hmac
from collections.abc import Mapping
from hashlib import sha256
from typing import Literal
from uuid import UUID

#: ``order`` reads and cancels an order; ``pay`` only opens its page to pay.
Purpose = Literal["order", "pay"]


class Tokens:
    """Makes and checks tokens. The first key signs; all are accepted, so that keys can be changed without a break."""

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        assert keys, "at least one key is needed"
        self._keys = dict(keys)

    def make(self, purpose: Purpose, order_id: UUID) -> str:
        """The token, safe in a URL: ``keyid.mac``."""
        key_id = next(iter(self._keys))
        return f"{key_id}.{_mac(self._keys[key_id], purpose, order_id)}"

    def check(self, token: str | None, purpose: Purpose, order_id: UUID) -> bool:
        """Whether ``token`` was made for this purpose and order under a key that is still active."""
        key_id, _, mac = (token or "").partition(".")
        key = self._keys.get(key_id)
        # A token of ours is ASCII; a header's stray octets could not even be encoded for the comparison.
        if key is None or not mac.isascii():
            return False
        return hmac.compare_digest(mac.encode(), _mac(key, purpose, order_id).encode())


def _mac(key: bytes, purpose: Purpose, order_id: UUID) -> str:
    digest = hmac.new(key, f"boxoffice/{purpose}/{order_id}".encode(), sha256).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
