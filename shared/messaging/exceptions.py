"""What can go wrong between a message and its effect."""


class MessagingError(Exception):
    """The base of all errors of this package."""


class Unreadable(MessagingError):
    """A message is not what its type says. Final: reading it again gives the same."""


class UnknownType(MessagingError):
    """A message is of a type or version that no model of ours reads. Final for this release."""


class NotConfirmed(MessagingError):
    """The broker did not confirm in time, or the connection went: the message may or may not be in its queue."""


class NoAnswer(NotConfirmed):
    """The broker did not confirm in time although the connection stands: one queue of its may be stuck."""


class TookTooLong(MessagingError):
    """One handling transaction did not end in its time and was rolled back."""


class Refused(MessagingError):
    """The broker refused a message: no queue is bound for it, or the queue is full. It is in no queue."""


class RejectedForGood(MessagingError):
    """A handler says that this message can never be handled; the text is the dead letter's reason."""
