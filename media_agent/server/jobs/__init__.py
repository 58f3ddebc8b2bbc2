"""The jobs of callers: the one way to a new one, whose it is, and what is seen of it."""
