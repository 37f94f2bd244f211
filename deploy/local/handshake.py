"""An AMQP 0-9-1 login, to learn whether a broker is ready, which one it is, and how old."""

import asyncio
import re
import socket
import urllib.parse
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import aiormq

from deploy.machine.needs import RABBITMQ_OLDEST


class NotReadyError(Exception):
    """No broker answered this login. The message says how it failed."""


@dataclass(frozen=True)
class Broker:
    """What a broker says of itself at login."""

    cluster_name: str
    product: str
    version: str

    @property
    def suitable(self) -> bool:
        """RabbitMQ 3.10 or newer."""
        numbers = tuple(int(part) for part in re.findall(r"\d+", self.version)[:2])
        return self.product == "RabbitMQ" and numbers >= RABBITMQ_OLDEST


def log_in(amqp_url: str, timeout_seconds: float = 5.0) -> Broker:
    """Log in, and leave again. Raises NotReadyError. Blocks, and works with or without a running event loop."""
    _require_listener(amqp_url, timeout_seconds)
    # A thread of its own, because this one may be inside an event loop (an asynchronous test that restarts a broker).
    with ThreadPoolExecutor(max_workers=1) as executor:
        return executor.submit(lambda: asyncio.run(_log_in(amqp_url, timeout_seconds))).result()


def _require_listener(amqp_url: str, timeout_seconds: float) -> None:
    """A closed port is told apart here, because the AMQP library logs an error for each failed attempt."""
    url = urllib.parse.urlsplit(amqp_url)
    try:
        with socket.create_connection((url.hostname or "127.0.0.1", url.port or 5672), timeout_seconds):
            pass
    except OSError as error:
        raise NotReadyError(f"nothing answers on {url.hostname}:{url.port or 5672} ({error})") from error


async def _log_in(amqp_url: str, timeout_seconds: float) -> Broker:
    try:
        async with asyncio.timeout(timeout_seconds):
            connection = await aiormq.connect(amqp_url)
            properties = dict(connection.server_properties)
            await connection.close()
    except (OSError, TimeoutError, aiormq.AMQPError) as error:
        raise NotReadyError(f"{type(error).__name__}: {error}") from error
    return Broker(_text(properties, "cluster_name"), _text(properties, "product"), _text(properties, "version"))


def _text(properties: Mapping[str, object], name: str) -> str:
    value = properties.get(name, "")
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
