"""The tools run for language models: by replies of vendors, and in agent frameworks."""
