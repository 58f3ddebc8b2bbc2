"""Commands that make videos and change where they go."""
