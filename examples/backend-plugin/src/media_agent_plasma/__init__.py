"""A media-agent backend that makes videos of coloured waves."""
