"""What can go wrong on somebody's machine, in words that person can act on."""


class LocalError(Exception):
    """A problem of this machine or its settings. The message is complete: it needs no traceback beside it."""


class EngineMissingError(LocalError):
    """One way to get an engine is not possible here. The resolver tries the next and lists all reasons at the end."""


class PortTakenError(LocalError):
    """Another process listens on a port we need."""
