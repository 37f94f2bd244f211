"""Owns events, tiers and the stock table; holds places for orders."""
