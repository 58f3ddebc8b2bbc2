"""What a tired person gets wrong, and how the command line answers: what is wrong, the way out."""

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from media_agent.cli import main
from media_agent.testing.simulator.faults import Fault
from media_agent_hosted.providers.fal.simulator import FalSimulator

Said = Callable[..., str]


@pytest.fixture
def said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Said:
    """Run a command in an empty folder and return its one error line; `settings` are its TOML."""
    monkeypatch.delenv("MEDIA_AGENT_CONFIG")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))

    def run(*arguments: str, code: int, settings: str = "") -> str:
        Path("media-agent.toml").write_text(settings, encoding="utf-8")
        capsys.readouterr()
        returned = main(arguments)
        answer = capsys.readouterr()
        lines = [line for line in answer.err.splitlines() if line.startswith("error: ")]
        assert returned == code, answer
        assert len(lines) == 1
        assert len(lines[0]) < 1500
        assert list(tmp_path.glob("**/*.mp4")) == []
        return lines[0]

    return run


class _Welcome(BaseHTTPRequestHandler):
    """A web server that has never heard of videos."""

    def do_POST(self) -> None:
        page = b"<!doctype html><html><body><h1>Welcome to nginx!</h1></body></html>"
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-type", "text/html; charset=utf-8")
        self.send_header("content-length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def web_page() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), _Welcome) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def fal(base_url: str = "http://127.0.0.1:9", key: str = "key-nobody-sees") -> str:
    return f'[backends.fal]\nkey = "{key}"\nbase_url = "{base_url}"\n'


CLIP = ("generate", "a cat", "--duration", "4", "--backend")


def test_a_wrong_key(said: Said) -> None:
    with FalSimulator([Fault("submit", "status", status=401, times=9)]) as simulator:
        line = said(*CLIP, "fal/fal-ai/magi", settings=fal(simulator.url), code=7)

    assert "answered with status 401" in line
    assert "it refuses the key (check the key in the settings" in line
    assert "media-agent keys list" in line
    assert "keys of fal are made at fal.ai/dashboard/keys" in line
    assert "nobody-sees" not in line


def test_a_missing_key(said: Said) -> None:
    line = said(*CLIP, "fal/fal-ai/magi", code=19)

    assert (
        "fal/fal-ai/magi needs a key: set FAL_KEY, run media-agent keys set fal, or set key_env"
        in line
    )
    assert "or set key_env or key_file under [backends.fal] in /" in line
    assert ".toml; create a key at fal.ai/dashboard/keys" in line


@pytest.mark.parametrize(
    ("name", "way_out"),
    [
        ("sandbx", "did you mean sandbox?"),
        ("quux/model", "valid: dashscope, diffusers, fal, google"),
        ("magi/tinny", "did you mean tiny?"),
        ("sandbox/slade", "did you mean slate?"),
        ("fal/nonsense", "ids look like fal-ai/"),
        ("diffusers/wan", "media-agent models add FOLDER"),
    ],
)
def test_an_unknown_backend_or_model(said: Said, name: str, way_out: str) -> None:
    assert way_out in said(*CLIP, name, settings=fal(), code=2)


def test_a_default_that_does_not_exist_is_a_matter_of_the_settings(said: Said) -> None:
    line = said("generate", "a cat", settings='default_backend = "sandbx"', code=2)

    assert line.startswith("error: default_backend in the settings: unknown backend 'sandbx'")


def test_a_duration_beyond_every_backend(said: Said) -> None:
    wanted = ("generate", "a cat", "--duration", "1000000", "--allow", "fal")

    line = said(*wanted, settings=fal(), code=3)

    assert "would need more than 10000 segments" in line
    assert "media-agent plan lists them" in line


@pytest.mark.parametrize(
    ("content", "model", "flag", "expected"),
    [
        (b"dear diary", "image-to-video", "--image", "is no PNG, JPEG or WebP image (convert it"),
        (b"", "image-to-video", "--image", "is no PNG, JPEG or WebP image (convert it"),
        (
            None,
            "image-to-video",
            "--image",
            "cannot be read: No such file or directory",
        ),
        (b"dear diary", "extend-video", "--video", "is no MP4 or WebM video"),
    ],
)
def test_an_image_or_video_that_is_none(
    said: Said, content: bytes | None, model: str, flag: str, expected: str
) -> None:
    if content is not None:
        Path("holiday.png").write_bytes(content)

    line = said(*CLIP, f"fal/fal-ai/magi/{model}", flag, "holiday.png", settings=fal(), code=2)

    assert f"{Path('holiday.png').absolute()} {expected}" in line


def test_an_image_that_is_missing_altogether(said: Said) -> None:
    line = said(*CLIP, "fal/fal-ai/magi/image-to-video", settings=fal(), code=3)

    assert "can do image_to_video and needs first_frame" in line


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('defaut_backend = "sandbox"', ":1: defaut_backend: unknown key; did you mean"),
        ('default_backend = "sandbox', ":1: not valid TOML: "),
        ("default_backend: sandbox", ":1: not valid TOML: "),
        ('[backend.fal]\nkey = "s3cret"', ":1: backend: unknown key; did you mean backen"),
        ('[backends.fal]\nkye = "s3cret"', ":2: backends.fal.kye: unknown key; did you"),
        ('policy = "strikt"', ":1: policy: it should be 'strict' or 'adjust'"),
        ('[budget]\nmax_cost_usd = "much"', ":2: budget.max_cost_usd: it should be a valid number"),
        ('[routes.a]\nallow = "fal"', ':2: routes.a.allow: it should be a list, such as ["one"'),
    ],
)
def test_settings_with_a_typo(said: Said, text: str, expected: str) -> None:
    line = said("generate", "a cat", settings=text, code=19)

    assert f"media-agent.toml{expected}" in line
    assert "s3cret" not in line


def test_a_settings_file_that_is_not_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MEDIA_AGENT_CONFIG", str(tmp_path / "gone.toml"))

    assert main(["config", "check"]) == 0

    assert f"MEDIA_AGENT_CONFIG: no such file: {tmp_path}/gone.toml" in capsys.readouterr().out


def test_a_server_that_answers_with_a_web_page(
    said: Said, web_page: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDIA_AGENT_BACKENDS__FAL__OPTIONS", '{"lookup_seconds": 0}')

    line = said(*CLIP, "fal/fal-ai/magi", settings=fal(web_page), code=12)

    assert "text/html: a web page where an API was due" in line
    assert "media-agent jobs reconcile" in line


def test_a_server_that_is_not_there(said: Said) -> None:
    line = said(*CLIP, "fal/fal-ai/magi", settings=fal(), code=9)

    assert "127.0.0.1:9 cannot be reached" in line
    assert "nothing was sent" in line


@pytest.mark.parametrize(
    ("settings", "variable"),
    [
        ('[backends.fal]\nkey_file = "~nobody-of-this-name/key"', None),
        ("", "MEDIA_AGENT_CONFIG"),
        ("", "MEDIA_AGENT_DATA_DIR"),
    ],
)
def test_a_home_that_nobody_has_is_no_bug(
    settings: str,
    variable: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("MEDIA_AGENT_CONFIG")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    Path("media-agent.toml").write_text(settings, encoding="utf-8")
    if variable is not None:
        monkeypatch.setenv(variable, "~nobody-of-this-name/it")

    for command in (["backends", "fal"], ["jobs", "list"], ["config", "check"]):
        main(command)

    assert "a bug in media-agent" not in capsys.readouterr().err
