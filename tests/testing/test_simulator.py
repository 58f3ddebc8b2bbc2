"""The base of simulators: a real server, faults on demand, and counting."""

import http.client
import json
import socket
import subprocess
import sys
import threading
from urllib.parse import urlsplit

import pytest

from media_agent.backend.protocol import BackendSpec
from media_agent.errors import InvalidRequestError, PluginError, StorageError
from media_agent.registry.registry import Registry
from media_agent.testing import Answer, Fault, Route, Simulator, Video
from media_agent.testing.simulator.find import find_simulator
from media_agent.testing.simulator.videos import make_video
from media_agent.video.probe import probe


class Parlour(Simulator):
    """A provider with one call."""

    name = "parlour"
    outcomes = ("completed", "failed")

    def routes(self):
        return [
            Route("POST", "/videos", "submit", self.submit),
            Route("GET", "/videos/(?P<id>[^/]+)", "status", self.status),
        ]

    def refusal(self, call):
        return None if call.headers.get("x-key") == "good" else Answer(401, {"no": "key"})

    def submit(self, call):
        job = self.accept("m", call.json(), key=call.headers.get("x-idempotency"))
        return Answer(200, {"id": job.id, "video": self.video_url(job)})

    def status(self, call):
        job = self.jobs.get(call.arguments["id"])
        return self.not_found(call) if job is None else Answer(200, {"stage": self.poll(job)})


class Remembering(Parlour):
    """The same, and it knows keys again."""

    honours_keys = True


def ask(simulator, method, path, body=None, **headers):
    """Return status, headers and body of one call; raises what http.client raises."""
    connection = http.client.HTTPConnection(urlsplit(simulator.url).netloc, timeout=10)
    try:
        content = None if body is None else json.dumps(body)
        connection.request(method, path, content, {"x-key": "good", **headers})
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()
    finally:
        connection.close()


def test_it_answers_counts_and_serves_a_real_video(tmp_path):
    with Parlour() as parlour:
        status, _, body = ask(parlour, "POST", "/videos", {"prompt": "a cat"})
        video = ask(parlour, "GET", urlsplit(json.loads(body)["video"]).path)

    (tmp_path / "video.mp4").write_bytes(video[2])
    assert (status, video[0], video[1]["Content-Type"]) == (200, 200, "video/mp4")
    assert probe(tmp_path / "video.mp4").frames == 24
    assert parlour.accepted == 1
    assert [call.name for call in parlour.requests] == ["submit", "file"]
    assert parlour.calls("submit")[0].json() == {"prompt": "a cat"}


def test_a_video_has_the_measures_asked(tmp_path):
    (tmp_path / "video.mp4").write_bytes(make_video(Video(frames=7, fps=10, width=32, height=48)))

    facts = probe(tmp_path / "video.mp4")

    assert (facts.frames, facts.fps, facts.width, facts.height) == (7, 10, 32, 48)


def test_videos_are_larger_for_those_who_ask(tmp_path):
    with Parlour() as parlour:
        parlour.scale = 3
        job = parlour.accept("m", {})
        (tmp_path / "a.mp4").write_bytes(parlour.video_content(job))

    usual = Video()
    found = probe(tmp_path / "a.mp4")
    assert (found.width, found.height) == (3 * usual.width, 3 * usual.height)


def test_a_job_waits_then_works_then_is_done():
    with Parlour(queued_polls=2, running_polls=1) as parlour:
        name = json.loads(ask(parlour, "POST", "/videos", {})[2])["id"]
        stages = [json.loads(ask(parlour, "GET", f"/videos/{name}")[2])["stage"] for _ in range(4)]

    assert stages == ["queued", "queued", "running", "done"]


def test_a_wrong_key_an_unknown_path_and_an_unknown_job_are_answered_and_not_counted():
    with Parlour() as parlour:
        refused = ask(parlour, "POST", "/videos", {}, **{"x-key": "bad"})
        unknown = ask(parlour, "GET", "/elsewhere")
        lost = ask(parlour, "GET", "/videos/none")

    assert (refused[0], unknown[0], lost[0], parlour.accepted) == (401, 404, 404, 0)


def test_the_counts_are_told_to_other_processes_and_not_counted():
    with Parlour() as parlour:
        ask(parlour, "POST", "/videos", {})
        told = json.loads(ask(parlour, "GET", "/__simulator__")[2])

    assert (told["name"], told["accepted"], told["calls"]) == ("parlour", 1, {"submit": 1})
    assert told["jobs"][0]["model"] == "m"


def test_a_key_is_known_again_only_where_the_provider_honours_keys():
    for kind, accepted in ((Parlour, 2), (Remembering, 1)):
        with kind() as parlour:
            for _ in range(2):
                ask(parlour, "POST", "/videos", {}, **{"x-idempotency": "job-1"})
        assert parlour.accepted == accepted


@pytest.mark.parametrize(
    ("fault", "status", "accepted"),
    [
        (Fault("submit", "status", status=429, retry_after="3"), 429, 0),
        (Fault("submit", "status", status=500, accepts=True), 500, 1),
        (Fault("submit", "garbage"), 200, 1),
        (Fault("submit", "html"), 200, 0),
        (Fault("submit", "duplicate"), 200, 2),
        (Fault("submit", "delay", seconds=0.01), 200, 1),
        (Fault("submit", "slow_body", seconds=0.01), 200, 1),
        (Fault("*", "status", status=503), 503, 0),
    ],
    ids=lambda value: value.kind if isinstance(value, Fault) else str(value),
)
def test_a_fault_strikes_once_and_then_all_is_well(fault, status, accepted):
    with Parlour([fault]) as parlour:
        struck = ask(parlour, "POST", "/videos", {})
        after = ask(parlour, "POST", "/videos", {})

    assert struck[0] == status
    assert struck[1].get("Retry-After") == fault.retry_after
    assert after[0] == 200
    assert parlour.accepted == accepted + 1


@pytest.mark.parametrize(
    ("kind", "accepted"),
    [("close_before_accept", 0), ("close_after_accept", 1), ("truncate", 1)],
)
def test_a_broken_connection_may_hide_an_accepted_submission(kind, accepted):
    with Parlour([Fault("submit", kind)]) as parlour:
        with pytest.raises((http.client.HTTPException, ConnectionError)):
            ask(parlour, "POST", "/videos", {})
        assert parlour.accepted == accepted


def test_garbage_is_no_json_and_html_says_so():
    with Parlour([Fault("submit", "garbage"), Fault("submit", "html")]) as parlour:
        garbage = ask(parlour, "POST", "/videos", {})[2]
        page = ask(parlour, "POST", "/videos", {})[1]

    with pytest.raises(ValueError):
        json.loads(garbage)
    assert page["Content-Type"] == "text/html"


def test_a_fault_can_strike_several_times_or_for_ever():
    faults = [Fault("submit", "status", times=2), Fault("status", "status", times=None)]
    with Parlour(faults) as parlour:
        submissions = [ask(parlour, "POST", "/videos", {})[0] for _ in range(3)]
        polls = [ask(parlour, "GET", "/videos/none")[0] for _ in range(3)]

    assert submissions == [500, 500, 200]
    assert polls == [500, 500, 500]


def test_connections_are_refused_until_it_listens():
    with Parlour([Fault("*", "refuse")]) as parlour:
        with pytest.raises(ConnectionRefusedError):
            ask(parlour, "POST", "/videos", {})
        parlour.listen()
        assert ask(parlour, "POST", "/videos", {})[0] == 200


def test_a_stalled_call_is_let_go_when_it_stops():
    parlour = Parlour([Fault("submit", "stall")]).start()
    seen = []

    def wait():
        try:
            seen.append(ask(parlour, "POST", "/videos", {}))
        except (http.client.HTTPException, ConnectionError) as error:
            seen.append(error)

    client = threading.Thread(target=wait)
    client.start()
    while parlour.accepted == 0:
        client.join(0.01)
    parlour.stop()
    client.join(10)

    assert isinstance(seen[0], Exception)


def test_a_taken_port_and_an_unstarted_simulator_are_said():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(StorageError, match="port"):
            Parlour(port=taken.getsockname()[1]).start()
    with pytest.raises(InvalidRequestError, match="not started"):
        Parlour().url  # noqa: B018  # reading it is the test


def test_what_does_not_exist_cannot_go_wrong_or_come_out():
    with pytest.raises(InvalidRequestError, match="sumbit") as caught:
        Parlour([Fault("sumbit", "status")])
    assert "did you mean submit?" in caught.value.hint
    with pytest.raises(InvalidRequestError, match="fail"):
        Parlour(outcome="fail")
    with pytest.raises(InvalidRequestError, match="port 99999 is not within 0 to 65535"):
        Parlour(port=99999)


def test_a_fault_is_read_from_text():
    assert Fault.parse("submit:close_after_accept") == Fault("submit", "close_after_accept")
    assert Fault.parse(
        "status:status,status=429,retry_after=3,times=always,accepts=true,seconds=0.5"
    ) == Fault(
        "status", "status", times=None, status=429, retry_after="3", seconds=0.5, accepts=True
    )


@pytest.mark.parametrize(
    "text", ["submit", ":status", "submit:explode", "submit:status,status=x", "submit:status,y=1"]
)
def test_a_text_that_says_no_fault_is_refused(text):
    with pytest.raises(InvalidRequestError, match="fault"):
        Fault.parse(text)


def test_a_simulator_is_found_by_the_name_of_its_backend():
    specs = {
        "parlour": BackendSpec("parlour", factory=print, simulator=f"{__name__}:Parlour"),
        "bare": BackendSpec("bare", factory=print),
        "gone": BackendSpec("gone", factory=print, simulator="no_such_module:X"),
        "odd": BackendSpec("odd", factory=print, simulator="json:JSONDecoder"),
    }

    assert find_simulator("parlour", specs) is Parlour
    with pytest.raises(InvalidRequestError, match="bare"):
        find_simulator("bare", specs)
    with pytest.raises(PluginError, match="no_such_module"):
        find_simulator("gone", specs)
    with pytest.raises(PluginError, match="not a Simulator"):
        find_simulator("odd", specs)


def test_every_installed_simulator_loads_and_is_named_as_its_backend():
    specs = Registry.discover().specs
    names = [name for name, spec in specs.items() if spec.simulator is not None]

    assert {name: find_simulator(name, specs).name for name in names} == {n: n for n in names}
    assert {"fal", "openai-compatible"} <= set(names)


def test_the_command_stands_in_for_a_provider_until_it_is_stopped():
    command = [sys.executable, "-m", "media_agent.cli", "simulate", "fal", "--fault", "*:status"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as it:
        try:
            line = it.stdout.readline()
            netloc = urlsplit(line.split()[-1]).netloc
            connection = http.client.HTTPConnection(netloc, timeout=10)
            connection.request("POST", "/fal-ai/mochi-v1", "{}")
            status = connection.getresponse().status
        finally:
            it.terminate()

    assert line.startswith("fal is simulated at http://127.0.0.1:")
    assert status == 500


def test_an_odd_answer_says_what_is_needed_and_nothing_else_that_can_be_read():
    with Parlour([Fault("submit", "odd", times=None)]) as parlour:
        body = ask(parlour, "POST", "/videos", {})[2]

    said = json.loads(body)
    assert body.startswith(b"\xef\xbb\xbf")
    assert said["id"] in parlour.jobs
    assert "x_unheard_of" in said


def test_what_goes_wrong_can_begin_late_and_be_over():
    with Parlour() as parlour:
        url = urlsplit(json.loads(ask(parlour, "POST", "/videos", {})[2])["video"]).path
        fine = ask(parlour, "GET", url)
        parlour.inject(Fault("file", "mislabel", times=None))
        spoilt = ask(parlour, "GET", url)
        parlour.clear_faults()
        mended = ask(parlour, "GET", url)

    assert [each[1]["Content-Type"] for each in (fine, spoilt, mended)] == [
        "video/mp4",
        "text/html",
        "video/mp4",
    ]
    assert fine[2] == spoilt[2]
