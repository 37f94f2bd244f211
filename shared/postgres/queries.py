"""SQL in files: one statement a file, named ``verb_noun.sql`` like the function that runs it."""

from collections.abc import Iterator
from importlib import resources


class Queries:
    """The statements of one package's ``queries`` folder, read once at import.

    ``Queries("services.orders")["insert_orders"]`` is the text of ``services/orders/queries/insert_orders.sql``.
    """

    def __init__(self, package: str) -> None:
        folder = resources.files(package) / "queries"
        self._package = package
        self._statements = {
            entry.name.removesuffix(".sql"): entry.read_text(encoding="utf-8")
            for entry in folder.iterdir()
            if entry.name.endswith(".sql")
        }

    def __getitem__(self, name: str) -> str:
        """The statement called ``name``; KeyError names the file that is missing."""
        try:
            return self._statements[name]
        except KeyError:
            raise KeyError(f"{self._package}/queries/{name}.sql does not exist") from None

    def __iter__(self) -> Iterator[str]:
        """The names, sorted: the tests prepare every one of them against the migrated schema."""
        return iter(sorted(self._statements))
