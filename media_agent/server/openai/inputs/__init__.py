"""The images and videos that a call names: brought here, looked at, kept to be used again."""
