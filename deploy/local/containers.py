"""Engines in containers, where a container engine answers."""

from deploy.local.errors import EngineMissingError
from deploy.local.given import GivenPostgres, GivenRabbit
from deploy.local.state import StateFolder


def find(name: str, state: StateFolder) -> GivenPostgres | GivenRabbit:
    raise EngineMissingError("not built yet")
