"""Hosts are judged by how they are written, and an address by who names it."""

import httpx
import pytest

from media_agent.storage.addresses import is_followed, is_inner, is_loopback

HERE = [
    *("localhost", "LOCALHOST", "localhost.", "127.0.0.1", "127.0.0.1.", "127.1", "2130706433"),
    *("0x7f.1", "::1", "::ffff:127.0.0.1"),
]
INNER = [
    *("10.0.0.1", "192.168.1.1", "169.254.169.254", "169.254.169.254.", "0.0.0.0", "fe80::1%eth0"),
    *("64:ff9b::a9fe:a9fe", "::10.0.0.1", "2002:a9fe:a9fe::1"),  # addresses of version 4 inside
    *("64:ff9b:1::808:808", "fec0::1", "ff02::1", "ff0e::1", "224.0.0.1", "198.18.0.1"),
    *("printer.local", "metadata.google.internal", "metadata.google.internal.", "gpu-box"),
]
PUBLIC = ["example.com", "example.com.", "8.8.8.8", "2606:4700::1111", "local.example"]


@pytest.mark.parametrize("host", HERE)
def test_this_machine_is_known_in_every_spelling(host: str) -> None:
    assert is_loopback(host)
    assert is_inner(host)


@pytest.mark.parametrize("host", INNER)
def test_an_inner_host_is_known_in_every_spelling(host: str) -> None:
    assert is_inner(host)
    assert not is_loopback(host)


@pytest.mark.parametrize("host", PUBLIC)
def test_a_public_host_is_neither(host: str) -> None:
    assert not is_inner(host)
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("url", "named_by", "follows"),
    [
        ("https://cdn.example/f", None, True),
        ("http://cdn.example/f", None, False),
        ("https://10.0.0.9/f", None, False),
        ("https://user:password@cdn.example/f", None, False),
        ("https://cdn.example/f", "http://127.0.0.1:8000", True),
        ("http://127.0.0.1:9000/f", "http://127.0.0.1:8000", True),
        ("http://10.0.0.9/f", "http://10.0.0.5", True),
        ("http://10.0.0.9/f", "https://gpu-box/v1", True),
        ("http://10.0.0.9/f", "https://api.example", False),
        ("http://store.corp.example/f", "http://gpu.corp.example:8000/v1", True),
        ("http://api.example/f", "https://api.example", False),
        ("http://user:password@10.0.0.9/f", "http://10.0.0.5", False),
    ],
)
def test_an_address_is_judged_by_who_names_it(
    url: str, named_by: str | None, follows: bool
) -> None:
    by = None if named_by is None else httpx.URL(named_by)

    assert is_followed(httpx.URL(url), by) is follows
