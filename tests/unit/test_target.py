"""Which stack a command talks to."""

from pathlib import Path

import pytest

from boxoffice.exits import FAILED, UNREACHABLE, USAGE, CommandError
from boxoffice.target import Reply, Target, said
from deploy.local import status
from deploy.local.provisioning import stack_secrets
from deploy.local.stack import OPERATOR_FILE
from deploy.local.state import StateFolder, write_json


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StateFolder:
    monkeypatch.setenv("BOXOFFICE_STATE_DIR", str(tmp_path / "state"))
    return StateFolder.from_environment()


@pytest.fixture
def running(state: StateFolder) -> StateFolder:
    """A state folder in which this process is the launcher."""
    state.create()
    urls = {"orders": "http://127.0.0.1:8084", "mailer": "http://127.0.0.1:8086"}
    write_json(state.path / OPERATOR_FILE, {"amqp_url": "amqp://local/", "namespace": "boxoffice", "urls": urls})
    status.write(state, status.StackRecord.of_this_process("ready"))
    return state


def test_without_a_stack_each_thing_missing_is_named_and_nobody_is_reached(state: StateFolder) -> None:
    target = Target.find({})
    asks = {
        "BOXOFFICE_ORDERS_URL": lambda: target.url("orders"),
        "BOXOFFICE_OPERATOR_TOKEN": lambda: target.token("operator"),
        "BOXOFFICE_AMQP_URL": target.broker,
    }
    for variable, ask in asks.items():
        with pytest.raises(CommandError, match=variable) as caught:
            ask()
        assert caught.value.code == UNREACHABLE
    assert not state.path.exists(), "looking made a state folder"


def test_the_running_stack_is_the_target(running: StateFolder) -> None:
    target = Target.find({})
    assert target.url("orders") == "http://127.0.0.1:8084"
    assert target.broker() == "amqp://local/"
    assert target.token("operator") == stack_secrets(running).operator_token


def test_the_environment_wins_for_each_thing_it_names(running: StateFolder) -> None:
    given = {
        "BOXOFFICE_ORDERS_URL": "https://orders.example/",
        "BOXOFFICE_OPERATOR_TOKEN": "another",
        "BOXOFFICE_AMQP_URL": "amqp://elsewhere/",
        "BOXOFFICE_NAMESPACE": "other",
    }
    target = Target.find(given)
    assert target.url("orders") == "https://orders.example"
    assert target.url("mailer") == "http://127.0.0.1:8086"
    assert (target.token("operator"), target.broker(), target.namespace) == ("another", "amqp://elsewhere/", "other")


def test_a_stack_that_ended_is_no_target(running: StateFolder) -> None:
    (running.path / status.FILE).unlink()
    with pytest.raises(CommandError, match="not running here"):
        Target.find({}).url("orders")


@pytest.mark.parametrize(("answer", "code"), [(422, USAGE), (400, USAGE), (404, FAILED), (409, FAILED), (503, FAILED)])
def test_a_problem_is_told_in_its_own_words(answer: int, code: int) -> None:
    with pytest.raises(CommandError, match="no such order") as caught:
        said(Reply(answer, {"detail": "no such order"}))
    assert caught.value.code == code


def test_a_good_reply_is_its_body() -> None:
    assert said(Reply(202, {"a": 1})) == {"a": 1}
