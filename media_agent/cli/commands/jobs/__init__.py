"""Commands about what was made: the jobs, their costs and their space on the disk."""
