"""Real engines for every test that asks for them: one PostgreSQL and one RabbitMQ for the whole session."""

import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.engines import Engines, start_engines
from deploy.local.state import StateFolder


@pytest.fixture(scope="session")
def engines() -> Iterator[Engines]:
    """Private engines in a throw-away folder: `engines.database_url` (administrator) and `engines.amqp_url`."""
    state = StateFolder(Path(tempfile.mkdtemp(prefix="boxoffice-tests-")))
    running = start_engines(state, durable=False, remove_state=True, progress=logging.getLogger("engines").info)
    yield running
    running.stop()
