"""A database and a role for each service, so that no service can reach another's rows.

The administrator owns the databases and runs the migrations; a service's role only reads and writes rows.
"""

import secrets
from collections.abc import Callable
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg
from psycopg import sql

from deploy.local.state import PROJECT
from shared.contracts.registry import ServiceName
from shared.postgres.migrations import apply_migrations

WITH_DATABASE: tuple[ServiceName, ...] = ("orders", "inventory", "payments", "reaper", "ticketing", "mailer")
CONNECT_SECONDS = 10
# Two launchers may share one given server: each of these steps first looks and then makes.
PROVISION_LOCK = 7_238_001


def database_name(service: str, prefix: str = "boxoffice") -> str:
    """The name of a service's database, and of its role."""
    return f"{prefix}_{service}"


def provision(service: str, admin_url: str, password: str, *, name: str | None = None) -> str:
    """Make the service's role and database where missing, migrate, grant; returns the URL for the service.

    Idempotent. `name` replaces `boxoffice_<service>`. Raises psycopg.Error.
    """
    name = name or database_name(service)
    with _connect(admin_url) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", [PROVISION_LOCK])
        _make_role(connection, name, password)
        _make_database(connection, name)
    own_url = url_of(admin_url, name)
    apply_migrations(service, own_url)
    _grant(service, own_url, name)
    return url_of(admin_url, name, user=name, password=password)


def _make_role(connection: psycopg.Connection, name: str, password: str) -> None:
    known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [name]).fetchone()
    # Set again each time: the password may have been lost with the state folder while a given server kept the role.
    statement = "ALTER ROLE {} PASSWORD {}" if known else "CREATE ROLE {} LOGIN PASSWORD {}"
    connection.execute(sql.SQL(statement).format(sql.Identifier(name), sql.Literal(password)))


def _make_database(connection: psycopg.Connection, name: str, template: str | None = None) -> None:
    if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone() is None:
        # template0 unless told otherwise: template1 cannot be copied while anybody is connected to it.
        source = sql.Identifier(template or "template0")
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), source))
    connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(name)))


def _grant(service: str, own_url: str, role: str) -> None:
    """What a service may do in its database: rows, not tables."""
    grants = PROJECT / "services" / service / "grants.sql"
    statements = [
        "GRANT CONNECT ON DATABASE {database} TO {role}",
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
        "GRANT USAGE ON SCHEMA public TO {role}",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}",
        "GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {role}",
    ]
    names = {"database": sql.Identifier(urlsplit(own_url).path.lstrip("/")), "role": sql.Identifier(role)}
    with _connect(own_url) as connection, connection.transaction():
        for statement in statements:
            connection.execute(sql.SQL(statement).format(**names))
        if grants.is_file():
            # It speaks of `boxoffice_<service>`; a copy made for a test has a role of another name.
            text = grants.read_text().replace(database_name(service), role)
            connection.execute(text.encode())


def url_of(admin_url: str, database: str, user: str | None = None, password: str | None = None) -> str:
    """The admin URL with another database and, if given, another user."""
    parts = urlsplit(admin_url)
    netloc = parts.netloc
    if user is not None:
        host = netloc.rsplit("@", maxsplit=1)[-1]
        netloc = f"{quote(user, safe='')}:{quote(password or '', safe='')}@{host}"
    return urlunsplit(parts._replace(netloc=netloc, path=f"/{database}"))


def _connect(url: str) -> psycopg.Connection:
    return psycopg.connect(url, autocommit=True, connect_timeout=CONNECT_SECONDS)


class Templates:
    """Databases for tests: migrated once for each service, then copied within milliseconds.

    The copies share one role for each service, which reaches the copies and nothing else.
    """

    def __init__(self, admin_url: Callable[[], str], run: str | None = None) -> None:
        """`admin_url` is asked each time, because a restarted engine may have another port."""
        self._admin_url = admin_url
        self._run = run or f"test_{secrets.token_hex(3)}"
        self._password = secrets.token_urlsafe(16)
        self._made: set[str] = set()
        self._copies: dict[str, str] = {}

    def create_template(self, service: str) -> str:
        """Migrate the service's template, once; returns its name."""
        name = database_name(service, self._run)
        if service not in self._made:
            provision(service, self._admin_url(), self._password, name=name)
            self._made.add(service)
        return name

    def clone(self, service: str) -> str:
        """A fresh database with the service's schema; returns the URL for the service's own role."""
        template = self.create_template(service)
        name = f"{template}_{secrets.token_hex(4)}"
        with _connect(self._admin_url()) as connection:
            _make_database(connection, name, template)
            grant = sql.SQL("GRANT CONNECT ON DATABASE {} TO {}")
            connection.execute(grant.format(sql.Identifier(name), sql.Identifier(template)))
        self._copies[name] = template
        return url_of(self._admin_url(), name, user=template, password=self._password)

    def admin(self, url: str) -> str:
        """The administrator's URL for a copy, to look at it or to break it."""
        return url_of(self._admin_url(), urlsplit(url).path.lstrip("/"))

    def drop(self, url: str) -> None:
        """Remove a copy, ending whatever is still connected to it."""
        name = urlsplit(url).path.lstrip("/")
        self._copies.pop(name, None)
        self._drop_database(name)

    def drop_all(self) -> None:
        """Remove copies, templates and roles. Needed only on a given server; our own is thrown away whole."""
        templates = [database_name(service, self._run) for service in self._made]
        for name in [*self._copies, *templates]:
            self._drop_database(name)
        with _connect(self._admin_url()) as connection:
            for name in templates:
                connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(name)))
        self._made.clear()
        self._copies.clear()

    def _drop_database(self, name: str) -> None:
        with _connect(self._admin_url()) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
