"""The wire types every part of media-agent speaks."""
