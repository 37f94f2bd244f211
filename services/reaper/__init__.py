"""Keeps one deadline for each order, and says so when it has passed, until the order has ended."""
