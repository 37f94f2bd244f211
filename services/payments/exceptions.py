"""What can become of a call of Paystack. Each class says what may be done next."""


class PaystackError(Exception):
    """The base of all errors of a call."""


class Refused(PaystackError):
    """Paystack understood and said no: nothing was done. Calling again with the same gives the same."""

    def __init__(self, http_status: int, code: str, message: str) -> None:
        super().__init__(f"{http_status} {code}: {message}")
        self.http_status = http_status
        self.code = code
        self.message = message


class NotSent(PaystackError):
    """No connection was made: nothing was done, and the call may be repeated."""


class RateLimited(PaystackError):
    """Too many calls: nothing was done, and the call may be repeated after ``reset_seconds``."""

    def __init__(self, reset_seconds: float) -> None:
        super().__init__(f"over the limit for {reset_seconds:.0f} s")
        self.reset_seconds = reset_seconds


class OverBudget(RateLimited):
    """Our own budget says no before Paystack does."""


class Unknown(PaystackError):
    """Time-out, lost connection, or an answer that is none: it may have been done. Look it up before a repeat."""
