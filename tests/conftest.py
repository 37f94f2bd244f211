"""Real engines for every test that asks for them: one PostgreSQL and one RabbitMQ for the whole session."""

import logging
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import hypothesis
import pytest

from deploy.local.databases import Templates
from deploy.local.engines import Engines, start_engines
from deploy.local.state import StateFolder
from tests.databases import MakeDatabase, fresh_databases
from tests.harness import Note, delete_namespace, new_namespace

# How long an example takes is the machine's affair, and no property of ours.
hypothesis.settings.register_profile("boxoffice", deadline=None)
hypothesis.settings.load_profile("boxoffice")


@pytest.fixture(scope="session")
def engines() -> Iterator[Engines]:
    """Private engines in a throw-away folder: `engines.database_url` (administrator) and `engines.amqp_url`."""
    state = StateFolder(Path(tempfile.mkdtemp(prefix="boxoffice-tests-")))
    running = start_engines(state, durable=False, remove_state=True, progress=logging.getLogger("engines").info)
    yield running
    running.stop()


@pytest.fixture(scope="session")
def templates(engines: Engines) -> Iterator[Templates]:
    """Migrated template databases, one for each service that is asked for."""
    made = Templates(lambda: engines.database_url)
    yield made
    if engines.chosen["postgres"] == "given":
        made.drop_all()


@pytest.fixture
def make_database(templates: Templates) -> Iterator[MakeDatabase]:
    """`make_database("orders")` gives the URL of a fresh database of that service for this one test."""
    with fresh_databases(templates) as make:
        yield make


@pytest.fixture
async def namespace(engines: Engines) -> AsyncIterator[str]:
    """A namespace of exchanges and queues for this one test; its queues are removed at the end."""
    name = new_namespace()
    yield name
    await delete_namespace(engines.amqp_url, name)


@pytest.fixture
def note(record_property: Callable[[str, object], None]) -> Note:
    """`note("...")` puts a line into the summary at the end of the run, in whichever process the test ran."""
    return lambda text: record_property("note", text)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests noted: how many sequences were run, with which seed."""
    reports = [report for reports in terminalreporter.stats.values() for report in reports]
    notes = sorted({text for one in reports for name, text in getattr(one, "user_properties", ()) if name == "note"})
    if notes:
        terminalreporter.section("what the tests went through")
        for text in notes:
            terminalreporter.write_line(str(text))
