"""A stand-in for Paystack: its API, its hosted page, its webhooks, and its own ledger of charges and refunds.

It is written from Paystack's published behaviour and shares no module with the services, so that a misunderstanding
in the client cannot hide behind the same misunderstanding here. Where the published sources disagree or are silent,
the code says so and, where it matters, a setting chooses.
"""
