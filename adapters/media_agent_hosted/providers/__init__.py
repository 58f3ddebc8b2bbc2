"""The hosted APIs, a folder for each."""
