"""The command sends telemetry where the usual variables say."""

import importlib.util
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from media_agent.errors import ConfigurationError
from media_agent.telemetry import start as starting
from media_agent.telemetry.start import start

PROMPT = "a walrus nobody is to hear of"


class Collector(ThreadingHTTPServer):
    """Takes what is sent, as a collector of OpenTelemetry does over HTTP."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.bodies: dict[str, bytes] = {}

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.bodies[self.path] = self.server.bodies.get(self.path, b"") + body
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()


def test_the_command_sends_spans_and_metrics_to_a_collector(
    collector: Collector, tmp_path: Path
) -> None:
    named = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.address,
        "OTEL_EXPORTER_OTLP_COMPRESSION": "none",
    }
    command = [sys.executable, "-m", "media_agent.cli", "generate", PROMPT, "--backend", "sandbox"]
    done = subprocess.run(
        [*command, "--duration", "1", "--out", str(tmp_path / "a.mp4")],
        env=os.environ | named,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert b"media_agent.generate" in collector.bodies["/v1/traces"]
    assert b"media_agent.job.duration" in collector.bodies["/v1/metrics"]
    assert b"walrus" not in b"".join(collector.bodies.values())


def test_an_address_without_the_sdk_is_refused_with_the_way_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)

    with pytest.raises(ConfigurationError, match="OTEL_EXPORTER_OTLP_ENDPOINT") as refused:
        start()
    assert refused.value.hint is not None
    assert "[otel]" in refused.value.hint


def test_a_disabled_sdk_is_not_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    monkeypatch.setattr("media_agent.telemetry.start._send", lambda: pytest.fail("started"))

    start()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-key: secret-word", "no list of headers"),
        ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "a=b,secret word=", "no list of headers"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=secret\x01", "no list of headers"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=secret;word", "no list of headers"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "secret-word:4318", "no address"),
        ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://secret-word:port", "no address"),
    ],
)
def test_a_variable_that_cannot_be_is_refused_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")
    monkeypatch.setenv(name, value)

    with pytest.raises(ConfigurationError, match=f"{name} is {said}") as refused:
        start()
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_METRIC_EXPORT_INTERVAL", "0"),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "-1"),
        ("OTEL_PROPAGATORS", "secret"),
    ],
)
def test_what_the_sdk_refuses_is_one_line_of_ours(name: str, value: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "media_agent.cli", "jobs", "list"]
    named = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", name: value}
    done = subprocess.run(
        command, env=os.environ | named, capture_output=True, text=True, check=False
    )

    assert done.returncode == 19, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: OpenTelemetry cannot be started: ")


def test_of_the_address_of_a_collector_that_is_away_its_host_alone_is_told(tmp_path: Path) -> None:
    place = "http://user-1234:password-1234@127.0.0.1:9/folder-1234?key=word-1234"
    named = {"OTEL_EXPORTER_OTLP_ENDPOINT": place, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": place}
    command = [sys.executable, "-m", "media_agent.cli", "generate", PROMPT, "--backend", "sandbox"]
    done = subprocess.run(
        [*command, "--duration", "1", "--out", str(tmp_path / "a.mp4")],
        env=os.environ | named,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "127.0.0.1" in done.stderr
    assert "1234" not in done.stderr


def test_a_collector_that_is_away_is_not_waited_for_long(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(starting, "_LAST_SECONDS", 0.2)
    is_over = threading.Event()
    has_ended = False

    def hang() -> None:
        nonlocal has_ended
        has_ended = is_over.wait(600)

    starting._end(lambda: None, hang)

    assert not has_ended
    assert "are lost" in caplog.text
    is_over.set()
