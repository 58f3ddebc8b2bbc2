"""Open-Sora 2.0 as a backend: run by torchrun in its own checkout and its own environment."""
