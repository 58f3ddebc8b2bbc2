"""Local model families through Hugging Face diffusers."""
