"""Servers that speak OpenAI's video API."""
