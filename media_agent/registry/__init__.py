"""Which backends there are: from plugins, and from the settings."""
