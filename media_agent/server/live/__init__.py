"""What goes on while somebody looks: events as they come, and videos as they grow."""
