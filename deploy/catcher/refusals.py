"""Addresses that the SMTP server refuses, for tests."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class Refusal(BaseModel):
    """Answer `code` to mail for `address` (``*`` is everybody), `times` often; without `times` for ever."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    address: str = Field(min_length=1, max_length=254)
    code: Annotated[int, Field(ge=400, le=599)]
    times: Annotated[int, Field(ge=0, le=1_000_000)] | None = None


class Refusals:
    """The refusals in force, one an address."""

    def __init__(self, planted: tuple[Refusal, ...] = ()) -> None:
        """Start with what the settings plant."""
        self._by_address: dict[str, Refusal] = {}
        for refusal in planted:
            self.plant(refusal)

    def plant(self, refusal: Refusal) -> None:
        """Put a refusal in the place of an earlier one for the same address; 0 times takes it away."""
        self._by_address.pop(refusal.address.lower(), None)
        if refusal.times != 0:
            self._by_address[refusal.address.lower()] = refusal

    def clear(self) -> None:
        """Take all refusals away."""
        self._by_address.clear()

    def take(self, address: str) -> int | None:
        """Return the code to refuse this recipient with, using up one time; None means welcome."""
        refusal = self._by_address.get(address.lower()) or self._by_address.get("*")
        if refusal is None:
            return None
        if refusal.times is not None:
            self.plant(refusal.model_copy(update={"times": refusal.times - 1}))
        return refusal.code

    def view(self) -> list[dict[str, object]]:
        """Return what is in force."""
        return [refusal.model_dump() for refusal in self._by_address.values()]
