"""A media-agent backend that films coloured waves."""
