"""What a service writes down, and what it never does."""

import logging
from collections.abc import Iterator

import orjson
import pytest
import structlog

from shared.runtime.logs import configure_logs


@pytest.fixture(autouse=True)
def kept_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, config = list(root.handlers), root.level, structlog.get_config()
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**config)


def fail(password: str) -> None:
    raise ConnectionError(f"refused after {len(password)} characters")


def test_a_traceback_never_shows_what_the_variables_held(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("orders", "info")
    for log in (structlog.stdlib.get_logger("ours"), logging.getLogger("a library")):
        try:
            fail("open" + "sesame")
        except ConnectionError:
            log.exception("could not connect")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    for line in lines:
        entry = orjson.loads(line)
        assert (entry["service"], entry["event"], entry["level"]) == ("orders", "could not connect", "error")
        assert entry["exception"][0]["exc_type"] == "ConnectionError"
        assert entry["exception"][0]["frames"][-1]["name"] == "fail"
        assert "opensesame" not in line
