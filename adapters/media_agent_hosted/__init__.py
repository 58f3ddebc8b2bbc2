"""Hosted video APIs: one file each, behind one shared HTTP part."""
