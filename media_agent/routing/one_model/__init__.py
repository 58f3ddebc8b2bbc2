"""One model: how it would make a video, and at what price."""
