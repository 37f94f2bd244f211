"""How messages leave a service exactly as committed, and how each has its effect exactly once.

Writing: ``Transaction.emit`` puts events into the outbox; the relay publishes what was committed.
Reading: the consumer merges what waits, claims the inbox, runs the handlers in one transaction, acknowledges once.
"""
