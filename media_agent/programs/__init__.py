"""Programs that are run for a video: what they say, whose turn it is, and the end of all of it."""
