"""A request and what a model can do become a plan."""
