"""The base of simulated providers: a real server with faults on demand."""
