"""Cases of the causal models distilled from Wan 2.1."""
