"""Webhooks: events that are sent to endpoints, and callbacks of providers that are taken."""
