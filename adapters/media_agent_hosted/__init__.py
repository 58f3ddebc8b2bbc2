"""Hosted video APIs: a folder each in `providers/`, on one shared base."""
