"""A mail catcher: an SMTP server that delivers nothing, and a page and an API that show what came.

It shares no module with the services. Refusals can be planted, so that the mailer's failures can be tested.
"""
