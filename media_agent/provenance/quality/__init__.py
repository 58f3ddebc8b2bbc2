"""What a finished video is like, measured on its decoded frames and its sound."""
