"""What `boxoffice status` says."""

import pytest

from boxoffice.reports import ProcessState, StackState


@pytest.mark.parametrize(("state", "said"), [("ready", "The stack is ready"), ("not ready", "not all of it is ready")])
def test_a_stack_with_one_process_down_is_not_called_ready(
    state: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    process = ProcessState("gateway", state, 7, 8080, 0, "")
    StackState("ready", 5, (process,)).show()
    assert said in " ".join(capsys.readouterr().out.split())
