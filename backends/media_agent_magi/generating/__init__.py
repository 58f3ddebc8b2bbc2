"""A video of any family in the making: chunks, prompts, steering, streaming, states."""
