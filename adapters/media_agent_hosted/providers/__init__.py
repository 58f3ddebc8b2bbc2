"""One folder for each provider; its `__init__` says in `SPEC` what the provider is."""
