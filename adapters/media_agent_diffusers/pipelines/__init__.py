"""Pipelines of diffusers in memory: loaded, held, called."""
