"""Video pipelines of diffusers that no family describes."""
