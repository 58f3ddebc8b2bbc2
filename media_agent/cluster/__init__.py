"""One workflow per job, run by worker processes on any number of machines."""
