"""Videos of our own: frames to packets to files, and back. PyAV is imported at first use."""
