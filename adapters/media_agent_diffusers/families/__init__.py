"""One file for each family of models; `catalogue` finds them, nothing lists them."""
