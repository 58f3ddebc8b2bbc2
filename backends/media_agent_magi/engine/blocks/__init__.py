"""The blocks of the transformer: attention and the rest, how they are computed."""
