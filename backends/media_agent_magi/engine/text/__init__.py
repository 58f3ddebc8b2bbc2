"""What the transformer reads."""
