"""The causal video transformer of the Wan family: blocks of frames, a window, few steps."""
