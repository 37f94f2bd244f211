"""What a machine needs before anything of ours is installed on it.

Only the standard library is used here, and nothing that Python 3.8 does not have: it runs with any Python there is.
"""
