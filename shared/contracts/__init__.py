"""Every message the services exchange: models and names, no behaviour."""
