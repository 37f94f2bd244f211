"""A flash sale from start to finish on the real stack, and the sums that must hold after it."""
