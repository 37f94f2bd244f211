"""How many calls of Paystack may be made, counted by all replicas together in the database."""

from collections.abc import Mapping

from services.payments import store
from services.payments.exceptions import OverBudget
from services.payments.paystack import Budget
from services.payments.settings import PaymentsSettings
from shared.postgres.database import Connection, Database

#: Paystack counts what arrives in any 60 seconds. The window here is longer by what one call may arrive later than
#: the next, so that its count never exceeds ours.
WINDOW_SECONDS = 62.0
#: How long counted calls are kept before they are taken away.
KEEP_SECONDS = 2 * WINDOW_SECONDS


class Budgets:
    """Takes calls from the shared budgets."""

    def __init__(self, database: Database, settings: PaymentsSettings) -> None:
        self._database = database
        self._limits: Mapping[Budget, int] = {
            "initialise": settings.initialise_per_minute,
            "verify": settings.verify_per_minute,
            "other": settings.other_per_minute,
        }

    async def wait_seconds(self, connection: Connection, name: Budget) -> float:
        """Count one call, at the commit of the caller's transaction; returns 0, or the seconds until there is room.

        Until the commit no other replica gets past this budget.
        """
        paused = await store.lock_budget(connection, name=name)
        if paused > 0:
            return paused
        return await store.take_call(connection, name=name, limit=self._limits[name], window_seconds=WINDOW_SECONDS)

    async def take(self, name: Budget) -> None:
        """Count one call. Raises OverBudget."""
        async with self._database.acquire() as connection, connection.transaction():
            wait = await self.wait_seconds(connection, name)
        if wait > 0:
            raise OverBudget(wait)

    async def pause(self, name: Budget, seconds: float) -> None:
        """Paystack said 429: nobody calls for so long."""
        async with self._database.acquire() as connection:
            await store.pause_budget(connection, name=name, seconds=seconds)

    async def forget_old(self) -> None:
        """Take away calls no window reaches any more."""
        async with self._database.acquire() as connection:
            await store.delete_calls(connection, older_than_seconds=KEEP_SECONDS)
