"""A fresh, migrated database for each test that asks for one."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from deploy.local.databases import Templates

MakeDatabase = Callable[[str], str]
"""Takes a service's name; returns the URL, for that service's own role, of an empty database with its schema."""


@contextmanager
def fresh_databases(templates: Templates) -> Iterator[MakeDatabase]:
    """Give out copies, and drop them at the end."""
    made: list[str] = []

    def make(service: str) -> str:
        made.append(templates.clone(service))
        return made[-1]

    try:
        yield make
    finally:
        for url in made:
            templates.drop(url)
