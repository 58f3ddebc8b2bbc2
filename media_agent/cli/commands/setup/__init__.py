"""Commands that set media-agent up, and look whether it is."""
