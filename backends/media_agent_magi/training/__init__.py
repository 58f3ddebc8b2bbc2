"""Trains magi/tiny from nothing."""
