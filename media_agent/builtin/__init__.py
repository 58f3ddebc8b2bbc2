"""The backends that need no plugin: the sandbox, and a program of the user's."""
