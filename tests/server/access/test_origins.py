"""Pages of other sites do not drive a server through a browser."""

import httpx
import pytest
from starlette.datastructures import Headers

from media_agent.config.settings import load_settings
from media_agent.errors import ForbiddenError
from media_agent.server.access.origins import Origins
from media_agent.server.app import build_app

OWN = {"host": "localhost:8000", "origin": "http://localhost:8000"}


def is_taken(method: str, headers: dict[str, str], *, of: str = "local") -> bool:
    origins = Origins("https://video.example.com", ("https://studio.example.com",))
    check = origins.check_local if of == "local" else origins.check_session
    try:
        check(method, Headers(headers))
    except ForbiddenError:
        return False
    return True


@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost:8000", "LOCALHOST", "127.0.0.1:8000", "[::1]:8000", "127.8.9.1"],
)
def test_a_server_without_keys_is_called_by_names_of_its_machine(host: str) -> None:
    assert is_taken("POST", {"host": host})


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "evil.example:8000",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "evil.example#localhost",
        "evil.example@localhost",
        "localhost@evil.example",
        "192.168.1.5",
        "0.0.0.0",
        "[fd00::1]",
        "localhost:port",
    ],
)
def test_a_name_that_was_bound_to_this_machine_from_outside_is_refused(host: str) -> None:
    assert not is_taken("GET", {"host": host})


@pytest.mark.parametrize("name", ["forwarded", "x-forwarded-for", "x-real-ip", "x-forwarded-host"])
def test_what_a_proxy_forwards_needs_a_key(name: str) -> None:
    assert not is_taken("GET", {"host": "localhost", name: "203.0.113.9"})


@pytest.mark.parametrize(
    ("origin", "taken"),
    [
        ("http://localhost:8000", True),
        ("https://video.example.com", True),
        ("https://studio.example.com", True),
        ("http://localhost:3000", False),
        ("http://localhost", False),
        ("https://localhost:8000.evil.example", False),
        ("https://studio.example.com.evil.example", False),
        ("http://evil.example", False),
        ("null", False),
        ("file://", False),
        ("", False),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize("of", ["local", "session"])
def test_only_our_page_and_allowed_pages_call(
    method: str, origin: str, taken: bool, of: str
) -> None:
    assert is_taken(method, {"host": "localhost:8000", "origin": origin}, of=of) is taken


def test_a_change_with_a_cookie_names_its_page_and_a_look_need_not() -> None:
    assert not is_taken("POST", {"host": "localhost:8000"}, of="session")
    assert is_taken("POST", OWN, of="session")
    assert is_taken("GET", {"host": "localhost:8000"}, of="session")


@pytest.mark.parametrize(
    ("fetched", "taken"),
    [
        ({"sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "none", "sec-fetch-mode": "navigate"}, True),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, True),
        (
            {
                "sec-fetch-site": "cross-site",
                "sec-fetch-mode": "navigate",
                "sec-fetch-dest": "iframe",
            },
            False,
        ),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}, False),
        ({"sec-fetch-site": "same-site", "sec-fetch-mode": "no-cors"}, False),
    ],
)
def test_what_a_foreign_page_embeds_is_refused_and_a_link_is_followed(
    fetched: dict[str, str], taken: bool
) -> None:
    assert is_taken("GET", {"host": "localhost:8000"} | fetched) is taken


@pytest.mark.anyio
async def test_a_preflight_of_an_allowed_page_is_answered_and_of_no_other(
    http: httpx.AsyncClient,
) -> None:
    asks = {"Access-Control-Request-Method": "POST", "Origin": "https://studio.example.com"}
    settings = load_settings(server={"allowed_origins": ["https://studio.example.com"]})
    open_app = build_app(settings)
    transport = httpx.ASGITransport(open_app)

    closed = await http.options("/v1/probe", headers=asks)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        allowed = await client.options("/v1/probe", headers=asks)
        foreign = await client.options(
            "/v1/probe", headers=asks | {"Origin": "https://evil.example"}
        )

    assert closed.status_code == 403
    assert allowed.headers["access-control-allow-origin"] == "https://studio.example.com"
    assert "access-control-allow-origin" not in closed.headers
    assert "access-control-allow-origin" not in foreign.headers
