"""What families of released weights share: their files, text encoders, memory."""
