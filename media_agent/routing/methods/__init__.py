"""How one model makes a video, and at what price."""
