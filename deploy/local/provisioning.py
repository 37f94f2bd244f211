"""What a stack keeps from its first start on: databases, roles, tokens and keys."""

import secrets as random
from collections.abc import Callable, Mapping

from deploy.local.databases import WITH_DATABASE, provision
from deploy.local.engines import Engines
from deploy.local.plan import Secrets
from deploy.local.state import StateFolder
from shared.contracts.registry import ServiceName
from shared.postgres.migrations import apply_migrations


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
        ticketing_master_keys=keep("ticketing_master_keys", key),
        ticketing_signing_keys=keep("ticketing_signing_keys", key),
    )
