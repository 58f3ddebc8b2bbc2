"""Newer facts about models, from a signed file of the operator's choice."""
