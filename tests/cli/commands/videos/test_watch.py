"""`media-agent watch`: the page of a job, at a server that runs or at one of its own."""

import asyncio
import os
import re
import signal
import threading
import webbrowser
from collections.abc import Callable

import httpx
import pytest
import respx

from media_agent.cli import main
from media_agent.cli.commands.videos.watch import find_server
from media_agent.client import VideoClient
from media_agent.config.server_section import ServerSection
from media_agent.config.settings import load_settings
from media_agent_schemas import VideoRequest
from media_agent_schemas.media import Size

SERVER = "http://127.0.0.1:8000/"


class Visitor(webbrowser.BaseBrowser):
    """A browser of the desktop that does as it is told with what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.opened: list[str] = []
        self.visit: Callable[[str], None] = self.opened.append

    def open(self, url: str, new: int = 0, autoraise: bool = True) -> bool:
        self.visit(url)
        return True


@pytest.fixture
def visitor(monkeypatch: pytest.MonkeyPatch) -> Visitor:
    visitor = Visitor()
    monkeypatch.setattr(webbrowser, "get", lambda using=None: visitor)
    return visitor


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch) -> str:
    """A job of this data folder, made without any server."""
    monkeypatch.setenv("MEDIA_AGENT_DEFAULT_BACKEND", "sandbox")

    async def make() -> str:
        async with VideoClient() as client:
            request = VideoRequest(prompt="a cat", duration=1, size=Size(width=64, height=64))
            return (await client.generate(request)).id

    return asyncio.run(make())


@pytest.mark.parametrize(
    ("status", "answer"),
    [(200, {"id": "JOB"}), (401, {"error": {}, "media_agent": {"code": "authentication"}})],
    ids=["has it", "wants a key first"],
)
def test_the_server_of_the_settings_is_used_when_it_runs(
    job: str,
    visitor: Visitor,
    capsys: pytest.CaptureFixture[str],
    status: int,
    answer: dict[str, object],
) -> None:
    told = {**answer, "id": job} if "id" in answer else answer
    with respx.mock(base_url=SERVER) as router:
        router.get(f"v1/jobs/{job}").respond(status, json=told)

        assert main(["watch", job[:12]]) == 0

    assert visitor.opened == [f"{SERVER}#/jobs/{job}"]
    assert capsys.readouterr().out == f"{SERVER}#/jobs/{job}\n"


def test_the_address_alone_is_printed_on_request_and_where_there_is_no_window(
    job: str, visitor: Visitor, capsys: pytest.CaptureFixture[str]
) -> None:
    with respx.mock(base_url=SERVER) as router:
        router.get(f"v1/jobs/{job}").respond(200, json={"id": job})

        main(["watch", "last", "--no-browser"])
        visitor.name = "w3m"
        main(["watch", "last"])

    assert visitor.opened == []
    assert capsys.readouterr().out == f"{SERVER}#/jobs/{job}\n" * 2


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(404, json={"error": {}, "media_agent": {}}),
        httpx.Response(200, text="a page of something else"),
        httpx.Response(401, json={"detail": "of something else"}),
        httpx.Response(200, json=["of something else"]),
    ],
    ids=["another folder", "another program", "its key", "a list"],
)
def test_another_server_is_left_alone(answer: httpx.Response) -> None:
    with respx.mock() as router:
        router.get(f"{SERVER}v1/jobs/one").return_value = answer

        assert find_server(load_settings(), "one") is None


@pytest.mark.parametrize(
    ("host", "address"),
    [("0.0.0.0", "http://localhost:9/"), ("::1", "http://[::1]:9/")],
)
def test_a_server_is_called_from_this_machine(host: str, address: str) -> None:
    settings = load_settings(server=ServerSection(host=host, port=9))
    with respx.mock() as router:
        router.get(f"{address}v1/jobs/one").respond(200, json={"id": "one"})

        assert find_server(settings, "one") == address


def test_without_a_server_one_is_started_for_this_machine_until_ctrl_c(
    job: str, visitor: Visitor, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[httpx.Response] = []

    def visit(url: str) -> None:
        address = url.partition("#")[0]

        def look() -> None:
            try:
                seen.append(httpx.get(address, timeout=30))
                seen.append(httpx.get(f"{address}v1/jobs/{job}", timeout=30))
            finally:
                os.kill(os.getpid(), signal.SIGINT)

        visitor.opened.append(url)
        threading.Thread(target=look).start()

    visitor.visit = visit
    with respx.mock() as router:
        router.get(f"{SERVER}v1/jobs/{job}").side_effect = httpx.ConnectError("refused")
        router.route(url__regex=r"http://127\.0\.0\.1:(?!8000/)").pass_through()

        assert main(["watch", job]) == 0

    assert re.fullmatch(rf"http://127\.0\.0\.1:\d+/#/jobs/{job}", visitor.opened[0])
    assert capsys.readouterr().out == visitor.opened[0] + "\n"
    assert "media-agent" in seen[0].text
    assert seen[1].json()["id"] == job


def test_an_unknown_job_is_an_error(visitor: Visitor) -> None:
    assert main(["watch", "nothing"]) != 0
    assert visitor.opened == []
