"""One job, from request to record."""
