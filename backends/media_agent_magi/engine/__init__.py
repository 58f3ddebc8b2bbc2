"""The chunk engine: plain tensors in, plain tensors out."""
