"""Our own API: jobs, plans, backends, events, live video, with the full schemas."""
