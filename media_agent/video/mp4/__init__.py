"""What an MP4 is made of, read and moved without decoding a frame."""
