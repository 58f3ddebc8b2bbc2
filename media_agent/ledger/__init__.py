"""What is kept of every job, and the SQLite file that keeps it."""
