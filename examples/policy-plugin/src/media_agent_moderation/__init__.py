"""A media-agent policy that asks a moderation service."""
