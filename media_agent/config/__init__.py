"""The settings, and the files that they come from."""
