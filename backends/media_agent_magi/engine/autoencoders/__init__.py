"""Frames to latents and back."""
