"""Webhooks: events that go out, callbacks of providers that come in."""
