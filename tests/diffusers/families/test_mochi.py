"""Mochi with tiny weights keeps the contract of a backend."""

from tests.diffusers.conformance import DiffusersConformance


class TestMochi(DiffusersConformance):
    model = "mochi"
