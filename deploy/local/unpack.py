"""RabbitMQ and Erlang from the distribution's packages, unpacked under the project. No root, nothing installed."""

from collections.abc import Callable

from deploy.local.errors import EngineMissingError
from deploy.local.rabbitmq import RabbitBinaries


def find_rabbitmq(progress: Callable[[str], None]) -> RabbitBinaries:
    raise EngineMissingError("not built yet")
