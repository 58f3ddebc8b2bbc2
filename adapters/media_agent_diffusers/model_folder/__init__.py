"""A folder of weights: what is in it, whether it is whole, and its digest."""
