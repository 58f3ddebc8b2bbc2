"""The model magi/tiny: its weights, and the videos that it makes."""
