"""The page at /: what a person sees in a browser; it calls the API like anybody else."""
