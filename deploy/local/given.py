"""Engines that somebody else runs and gives to us by URL. They are checked, used, and left running."""

import psycopg

from deploy.local import handshake
from deploy.local.errors import LocalError
from deploy.local.postgres import OLDEST

LABELS = {"postgres": "PostgreSQL", "rabbitmq": "RabbitMQ"}


class GivenPostgres:
    """The server of `BOXOFFICE_DATABASE_URL`; its role must be allowed to make databases and roles."""

    pid: int | None = None

    def __init__(self, url: str) -> None:
        self.url = url

    def start(self) -> None:
        """Check that it answers, is new enough, and lets us make databases."""
        try:
            with psycopg.connect(self.url, connect_timeout=10) as connection:
                major = connection.info.server_version // 10_000
                row = connection.execute(
                    "SELECT rolsuper OR (rolcreatedb AND rolcreaterole) FROM pg_roles WHERE rolname = current_user"
                ).fetchone()
        except psycopg.Error as error:
            raise LocalError(f"The PostgreSQL of BOXOFFICE_DATABASE_URL cannot be used: {error}") from error
        if major < OLDEST:
            raise LocalError(f"The PostgreSQL of BOXOFFICE_DATABASE_URL is version {major}; we need {OLDEST} or newer.")
        if not (row and row[0]):
            raise LocalError("The role in BOXOFFICE_DATABASE_URL needs the rights CREATEDB and CREATEROLE.")

    def has_ended(self) -> bool:
        """It is not ours to watch."""
        return False

    def stop(self) -> None:
        """It is not ours to stop."""

    def kill(self) -> None:
        """It is not ours to kill."""
        raise LocalError("A given engine is not ours to kill.")


class GivenRabbit:
    """The broker of `BOXOFFICE_AMQP_URL`."""

    pid: int | None = None

    def __init__(self, url: str) -> None:
        self.url = url

    def start(self) -> None:
        """Check that it lets us in and is new enough."""
        try:
            broker = handshake.log_in(self.url, timeout_seconds=10)
        except handshake.NotReadyError as error:
            raise LocalError(f"The RabbitMQ of BOXOFFICE_AMQP_URL cannot be used: {error}") from error
        if not broker.suitable:
            raise LocalError(
                f"The broker of BOXOFFICE_AMQP_URL is {broker.product} {broker.version}; 3.10 or newer is needed."
            )

    def has_ended(self) -> bool:
        """It is not ours to watch."""
        return False

    def stop(self) -> None:
        """It is not ours to stop."""

    def kill(self) -> None:
        """It is not ours to kill."""
        raise LocalError("A given engine is not ours to kill.")
