"""Each service reaches its own database and nothing else; provisioning may run again and again."""

import psycopg
import pytest

from deploy.local.databases import Templates, provision, url_of
from deploy.local.engines import Engines
from tests.databases import MakeDatabase


def test_a_service_reaches_its_own_database_only(make_database: MakeDatabase) -> None:
    own, other = make_database("orders"), make_database("inventory")
    with psycopg.connect(own) as connection:
        assert connection.execute("SELECT count(*) FROM outbox").fetchone() == (0,)
    foreign = other.rsplit("/", maxsplit=1)[1]
    for database in (foreign, "postgres", "template1"):
        with pytest.raises(psycopg.OperationalError, match="permission denied"):
            psycopg.connect(url_of(own, database))


def test_a_service_changes_rows_and_never_tables(make_database: MakeDatabase) -> None:
    with (
        psycopg.connect(make_database("orders")) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute("CREATE TABLE intruder (id int)")


def test_provisioning_again_keeps_rows_and_takes_a_new_password(engines: Engines, templates: Templates) -> None:
    name = templates.create_template("reaper") + "_again"
    try:
        provision("reaper", engines.database_url, "first", name=name)
        with psycopg.connect(url_of(engines.database_url, name)) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 7 AS row")
        url = provision("reaper", engines.database_url, "second", name=name)
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT row FROM kept").fetchone() == (7,)
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(url.replace("second", "first"))
    finally:
        templates.drop(url_of(engines.database_url, name))


def test_copies_do_not_share_rows(make_database: MakeDatabase, templates: Templates) -> None:
    first, second = make_database("mailer"), make_database("mailer")
    with psycopg.connect(templates.admin(first)) as connection:
        connection.execute("CREATE TABLE only_here (id int)")
    with psycopg.connect(second) as connection:
        assert connection.execute("SELECT to_regclass('only_here')").fetchone() == (None,)
