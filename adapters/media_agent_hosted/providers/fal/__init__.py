"""fal.ai."""
