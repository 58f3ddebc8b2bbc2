"""Commands that serve others: over HTTP, and over the Model Context Protocol."""
