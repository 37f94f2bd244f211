"""HTTP as every service speaks it: problem documents, bearer tokens, health, readiness, metrics."""
