"""What a stack keeps from its first start on: databases, roles, tokens and keys."""

import asyncio
import secrets as random
from collections.abc import Callable, Mapping

import aio_pika

from deploy.local.databases import WITH_DATABASE, provision
from deploy.local.engines import Engines
from deploy.local.errors import LocalError
from deploy.local.plan import Secrets
from deploy.local.state import StateFolder
from shared.contracts.registry import ServiceName
from shared.messaging.topology import Topology, declare_all
from shared.postgres.migrations import apply_migrations

QUEUES_SECONDS = 60


def migrate(
    state: StateFolder, engines: Engines, environment: Mapping[str, str], say: Callable[[str], None]
) -> dict[ServiceName, str]:
    """Make and migrate every service's database; returns the URL of each. Idempotent."""
    urls: dict[ServiceName, str] = {}
    say("Preparing the databases")
    for service in WITH_DATABASE:
        given = environment.get(f"{service.upper()}_DATABASE_URL", "")
        if given:
            apply_migrations(service, given)
        password = state.secret(f"database_{service}")
        urls[service] = given or provision(service, engines.database_url, password)
    return urls


async def declare_queues(amqp_url: str, namespace: str) -> None:
    """Declare every exchange and queue before any service does; idempotent. Raises LocalError when it takes a minute.

    Each service declares them all too. Ten of them doing so for the first time in the same second makes RabbitMQ 3.10
    close some of the connections with INTERNAL_ERROR: harmless, since they come back, but loud.
    """
    try:
        async with asyncio.timeout(QUEUES_SECONDS):
            async with await aio_pika.connect(amqp_url) as connection:
                await declare_all(await connection.channel(), Topology(namespace))
    except TimeoutError:
        raise LocalError(f"RabbitMQ did not declare our queues within {QUEUES_SECONDS} s.") from None


def stack_secrets(state: StateFolder) -> Secrets:
    """The stack's tokens and keys; generated once, then always the same."""

    def keep(name: str, make: Callable[[], str] = lambda: random.token_urlsafe(24)) -> str:
        return state.secret(name, make)

    def key() -> str:
        return f"k1:{random.token_hex(32)}"

    return Secrets(
        token_keys=keep("token_keys", key),
        service_token=keep("service_token"),
        organiser_token=keep("organiser_token"),
        operator_token=keep("operator_token"),
        gate_token=keep("gate_token"),
        supervisor_token=keep("supervisor_token"),
        ticketing_master_keys=keep("ticketing_master_keys", key),
        ticketing_signing_keys=keep("ticketing_signing_keys", key),
    )
