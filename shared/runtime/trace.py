"""W3C trace context, carried by each event so that one trace shows an order from HTTP to e-mail.

Source: https://www.w3.org/TR/trace-context/ (version 00).
"""

import re
import secrets

_TRACEPARENT = re.compile(r"^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})\Z")


def child_of(traceparent: str | None) -> str:
    """A new span in the trace of ``traceparent``; a new trace where there is none or it is malformed."""
    match = _TRACEPARENT.match(traceparent or "")
    trace_id = match[1] if match else secrets.token_hex(16)
    flags = match[3] if match else "01"
    return f"00-{trace_id}-{secrets.token_hex(8)}-{flags}"


def readable_traceparent(value: object) -> str | None:
    """``value`` if it is a trace context; anything else is ignored, as the standard asks."""
    return value if isinstance(value, str) and _TRACEPARENT.match(value) else None


def trace_id_of(traceparent: str | None) -> str | None:
    """The trace's id, for logs; ``None`` where there is no readable trace."""
    match = _TRACEPARENT.match(traceparent or "")
    return match[1] if match else None
