"""The native chunk-autoregressive engine and its plugin."""
