"""Keeping a server running: whether it is well, what it does, new settings, and its end."""
