"""A media-agent backend that generates videos of coloured waves."""
