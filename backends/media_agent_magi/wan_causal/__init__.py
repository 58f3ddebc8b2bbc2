"""The family of causal models distilled from Wan 2.1 1.3B: Self-Forcing and LongLive."""
