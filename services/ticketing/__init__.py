"""Ticketing: issues signed tickets for paid orders, and revokes them."""
