"""Migrations, forward only, run by yoyo (https://ollycope.com/software/yoyo/): SQL in files.

The tables of messaging (outbox, inbox) come first, then the service's own.
"""

from urllib.parse import urlsplit, urlunsplit

from yoyo import get_backend, read_migrations

from shared.postgres.schema import migration_folders


def apply_migrations(service: str, database_url: str) -> int:
    """Bring a database to the newest schema; returns how many migrations it ran.

    Idempotent, and safe when several start at once: yoyo holds a lock row meanwhile. Raises what psycopg raises
    (OperationalError when the database cannot be reached).
    """
    backend = get_backend(_yoyo_url(database_url))
    try:
        with backend.lock(timeout=60):
            done = 0
            # Each folder is a batch of its own: yoyo sorts one batch by name, and ours must keep their order.
            for folder in migration_folders(service):
                pending = backend.to_apply(read_migrations(str(folder)))
                backend.apply_migrations(pending)
                done += len(pending)
            return done
    finally:
        backend.connection.close()


def _yoyo_url(database_url: str) -> str:
    parts = urlsplit(database_url)
    return urlunsplit(parts._replace(scheme="postgresql+psycopg"))
