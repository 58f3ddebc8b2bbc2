"""Work on this machine: a thread that runs a generator, what it may call, and what it leaves."""
