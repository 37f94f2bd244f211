"""What an engine's log says, in plain words."""

import re
from pathlib import Path

EXPLANATIONS = (
    (r"No space left on device|enospc", "The disk is full."),
    (r"Address already in use|eaddrinuse", "A port it needs was taken by another process meanwhile; start again."),
    (r"Permission denied|eacces", "It may not open one of its files (permission denied)."),
    (r"Cannot allocate memory|enomem|could not map anonymous shared memory", "There is not enough memory."),
    (r"Too many open files|emfile", "The limit of open files is too low; raise it with `ulimit -n 65536`."),
    (r"error while loading shared libraries: (\S+?):", "A library of the system is missing."),
)


def last_lines(log: Path, count: int) -> str:
    """The last lines of a log, at most about 8 kB."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 8192))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-count:])


def explain_log(log: Path) -> str:
    """The likely cause in a sentence, then the log's last lines and where to read all of it."""
    tail = last_lines(log, 15)
    causes = [words for pattern, words in EXPLANATIONS if re.search(pattern, tail)]
    return " ".join([*causes[:1], f"Its log ({log}) ends with:\n{tail}" if tail else f"Its log ({log}) is empty."])
