"""The referee: owns orders, and decides once how each leaves ``pending``."""
