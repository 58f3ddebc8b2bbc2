"""What is seen of jobs from outside: spans and metrics of OpenTelemetry, and lines of a log."""
