"""From flags and a file to a request."""
