"""Who may do what: API keys, scopes, budgets, limits, and what is read for a caller."""
