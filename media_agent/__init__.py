"""Say what video you want; the core that decides who makes it, makes it and records it."""
