"""HunyuanVideo, Framepack and HunyuanVideo 1.5."""
