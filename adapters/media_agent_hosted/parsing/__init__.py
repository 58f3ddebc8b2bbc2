"""What a reply means, in whatever form a service writes it; pure."""
