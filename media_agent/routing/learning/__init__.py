"""What the router learns from how submissions ended; pure, and the same in `make bench-router`."""
