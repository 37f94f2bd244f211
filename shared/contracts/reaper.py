"""The message the reaper gives out."""

from typing import ClassVar

from pydantic import AwareDatetime

from shared.contracts.base import OrderMessage


class DeadlinePassedV1(OrderMessage):
    """The time to pay is over; repeated until the order has ended."""

    TYPE: ClassVar[str] = "deadline.passed.v1"

    expires_at: AwareDatetime
