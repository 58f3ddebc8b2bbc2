"""What the tools answer: short views of jobs and plans that fit a context, and their content."""
