"""APIs that the settings describe."""
