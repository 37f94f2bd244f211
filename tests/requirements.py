"""What a test needs of its machine. A person's machine may lack it; a build server's may not."""

import os

import pytest


def required(condition: object, reason: str) -> None:
    """Skip the test where the condition does not hold; fail it on a build server (`CI=true`), where it has to."""
    if condition:
        return
    if os.environ.get("CI", "").lower() in {"true", "1"}:
        pytest.fail(f"this may not be missing on a build server: {reason}")
    pytest.skip(reason)
