"""Untrusted media: images and videos of the user, videos of providers."""
