"""What a person sets up: the machine, the first settings file, what is wrong with it."""
