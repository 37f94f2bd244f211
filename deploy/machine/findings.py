"""What a look at the machine found, one line each."""

from __future__ import annotations

from dataclasses import dataclass

GOOD, WARNING, PROBLEM = "good", "warning", "problem"
MARKS = {GOOD: "ok     ", WARNING: "warning", PROBLEM: "PROBLEM"}


@dataclass(frozen=True)
class Finding:
    """One fact. A problem keeps the stack from starting, a warning does not."""

    subject: str
    level: str
    text: str
    remedy: str = ""
    """What to do, in a sentence; empty if there is nothing to do."""

    @property
    def sentence(self) -> str:
        """The fact and what to do."""
        return f"{self.text} {self.remedy}".rstrip()

    @property
    def line(self) -> str:
        """One line of the table."""
        return f"{MARKS[self.level]}  {self.subject:<11} {self.sentence}"
