"""The command line: `media-agent`. Nothing heavy is imported before a command needs it."""

from media_agent.cli.app import main

__all__ = ["main"]
