"""The family of the released MAGI-1 weights (SandAI-org/MAGI-1, Apache-2.0)."""
