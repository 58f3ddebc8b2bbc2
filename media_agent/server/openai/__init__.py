"""The OpenAI-shaped wire: videos, files, models."""
