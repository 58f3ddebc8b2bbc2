"""A request in a file or from standard input, with flags over it."""

import io
import json
import sys
from pathlib import Path

import pytest
import yaml

from media_agent.cli import main
from media_agent_schemas import VideoRequest

FULL = """\
prompt: a fox in the snow   # a comment
negative_prompt: text
duration: 2
aspect_ratio: 16:9
audio: no
camera: pan_left
seed: 7
model: sandbox
labels: {date: 2026-01-02}
"""


@pytest.fixture(autouse=True)
def _sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDIA_AGENT_DEFAULT_BACKEND", "sandbox")


@pytest.fixture
def request_of(capsys: pytest.CaptureFixture[str]) -> "Plan":
    return Plan(capsys)


class Plan:
    """Plans with a file and flags."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, text: str, *flags: str, name: str = "request.yaml") -> VideoRequest:
        """Return the request that a file and flags come to."""
        Path(name).write_text(text, encoding="utf-8")
        main(["plan", "--request", name, *flags, "--json"])
        return VideoRequest.model_validate(json.loads(self._capsys.readouterr().out)["request"])

    def refused(self, text: str, *flags: str, name: str = "request.yaml") -> str:
        """Return the one line that refuses a file."""
        Path(name).write_text(text, encoding="utf-8")
        assert main(["plan", "--request", name, *flags]) == 2
        said = self._capsys.readouterr()
        assert said.out == ""
        assert said.err.count("\n") == 1
        return said.err


def test_yaml_is_read_with_16_9_as_a_ratio_and_dates_as_texts(request_of: Plan) -> None:
    assert request_of(FULL) == VideoRequest(
        prompt="a fox in the snow",
        negative_prompt="text",
        duration=2,
        aspect_ratio="16:9",
        audio=False,
        camera="pan_left",
        seed=7,
        model="sandbox",
        labels={"date": "2026-01-02"},
    )


def test_the_json_of_a_request_is_read_back_as_it_was(request_of: Plan) -> None:
    request = VideoRequest(prompt="a fox", duration=2, seed=2**63 - 1, fps=23.976, audio=True)

    assert request_of(request.model_dump_json(), name="request.json") == request
    assert request_of(request.model_dump_json(), name="request") == request


@pytest.mark.parametrize(
    "text",
    [
        "- a fox@1\n- prompt: a dog\n  duration: 2\n",
        "shots:\n  - a fox@1\n  - a dog@2\n",
        '["a fox@1", {"prompt": "a dog", "duration": 2}]',
    ],
)
def test_a_storyboard_is_a_list_of_shots(request_of: Plan, text: str) -> None:
    shots = request_of(text).shots

    assert [(shot.prompt, shot.duration) for shot in shots] == [("a fox", 1), ("a dog", 2)]


def test_flags_override_the_fields_of_the_file_and_leave_the_others(request_of: Plan) -> None:
    flags = ("--duration", "3", "--seed", "8", "--size", "64x64", "--audio")
    request = request_of(FULL, *flags, "--negative-prompt", "-blur", "--camera", "static")

    assert (request.duration, request.seed, request.prompt) == (3, 8, "a fox in the snow")
    assert (str(request.size), request.aspect_ratio, request.audio) == ("64x64", None, True)
    assert (request.negative_prompt, request.camera) == ("-blur", "static")


def test_a_prompt_or_timed_shots_take_the_place_of_words_and_length(request_of: Plan) -> None:
    board = "duration: 3\nshots: [a fox@1, a dog@2]\n"

    assert request_of(board, "a cow").storyboard()[0].prompt == "a cow"
    assert request_of(board, "a cow@1", "--shot", "a pig@1").seconds() == 2
    assert request_of("prompt: a fox\nendless: true\n", "--duration", "1").endless is False


def test_an_input_takes_the_place_of_that_of_its_role_only(request_of: Plan) -> None:
    Path("below").mkdir()
    text = (
        "prompt: a fox\ninputs:\n  - {role: first_frame, path: a.png}\n"
        "  - {role: last_frame, path: b.png}\n"
    )

    inputs = request_of(text, "--last-frame", "c.png", name="below/request.yaml").inputs

    assert [(each.role, each.path) for each in inputs] == [
        ("first_frame", str(Path("below/a.png").absolute())),
        ("last_frame", str(Path("c.png").absolute())),
    ]


def test_routing_and_options_are_put_over_each_other_name_by_name(request_of: Plan) -> None:
    text = (
        "prompt: a fox\nmodel: sandbox\noptions: {sandbox: {latency_seconds: 1}}\n"
        "routing: {prefer: best, allow: [sandbox, fal]}\n"
    )

    request = request_of(text, "--option", "fault=crash", "--allow", "sandbox")

    assert request.options == {"sandbox": {"latency_seconds": 1, "fault": "crash"}}
    assert request.routing is not None
    assert (request.routing.prefer, request.routing.allow) == ("best", ("sandbox",))


def test_standard_input_is_a_file_called_minus(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = io.TextIOWrapper(io.BytesIO(b'{"prompt": "a fox", "duration": 1, "size": "64x64"}'))
    monkeypatch.setattr(sys, "stdin", text)

    assert main(["generate", "-r", "-", "-o", "a.mp4", "--json"]) == 0

    request = json.loads(capsys.readouterr().out)["request"]
    assert (request["prompt"], request["size"]) == ("a fox", {"width": 64, "height": 64})


def test_a_request_that_names_no_backend_records_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", "a fox", "-d", "1", "--size", "64x64", "-o", "a.mp4"]) == 0

    record = json.loads(Path("a.json").read_bytes())
    assert record["asked"]["model"] is None
    assert record["backend"] == "sandbox"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "request.yaml: it is empty (a request is"),
        ("a fox", "request.yaml: it is not a request"),
        ("prompt: [", "request.yaml:1: not valid YAML"),
        ("prompt: a fox\nseed: -1\n", "request.yaml:2: seed -1 is not within"),
        ("prompt: a fox\n\nduratoin: 4\n", "request.yaml:3: duratoin: unknown key; did you mean"),
        (
            "prompt: a fox\nprompt: a dog\n",
            "request.yaml:2: not valid YAML: 'prompt' is given twice",
        ),
        ("shots:\n- a fox@1\n- a dog@0\n", "request.yaml:3: shot 'a dog@0': duration 0 s"),
        ("- prompt: a fox\n  duration: 1\n- prompt: ' '\n", "request.yaml:3: shots.1.prompt"),
        ("prompt: a fox\nsize: 63x64\n", "request.yaml:2: width 63 is odd"),
        ("prompt: a fox\nsize: big\n", "request.yaml:2: size 'big' is not WIDTHxHEIGHT"),
        ("prompt: a fox\naudio: maybe\n", "request.yaml:2: audio"),
        ("prompt: a fox\nshots: [a dog@1]\n", "request.yaml: give either prompt or shots"),
        ("prompt: &a a fox\nnegative_prompt: *a\n", "request.yaml:2: not valid YAML: aliases"),
        ("prompt: !!python/name:os.system a\n", "request.yaml:1: not valid YAML"),
        ("seed: 1\n", "request.yaml: prompt is empty, and there are neither shots nor inputs"),
        ("[" * 100_000, "request.yaml: it is nested too deeply"),
        ("prompt: a fox\x00", "not valid YAML"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_its_line(
    request_of: Plan, text: str, said: str
) -> None:
    assert said in request_of.refused(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"prompt": "a fox",\n "seed": }', "request.json:2: not valid JSON: Expecting value"),
        ('{"prompt": "a fox",\n\t"seed": -1}', "request.json:2: seed -1 is not within"),
        ('{"prompt": "a", "prompt": "b"}', "request.json: 'prompt' is given twice"),
        ('{"prompt": "a", "seed": ' + "1" * 5000 + "}", "request.json: "),
        ("prompt: a fox", "request.json:1: not valid JSON"),
        ("[" * 100_000, "request.json: it is nested too deeply"),
    ],
)
def test_json_is_refused_with_its_line_too(request_of: Plan, text: str, said: str) -> None:
    assert said in request_of.refused(text, name="request.json")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("? [a, b]\n: 1\n", "error: request.yaml:1: not valid YAML: a key cannot be a list"),
        ("{{a: 1}: 2}", "error: request.yaml:1: not valid YAML: a key cannot be a list"),
        ("prompt: x\naudio: !!bool maybe", "error: request.yaml:2: not valid YAML: the value"),
        ("prompt: !!timestamp x", "error: request.yaml:1: not valid YAML: the value"),
        ('seed: !!int ""', "error: request.yaml:1: not valid YAML: the value"),
        (f"seed: {'9' * 5000}", "error: request.yaml:1: not valid YAML: the value"),
        ("!!map x", "error: request.yaml:1: not valid YAML: expected a mapping"),
        (r'prompt: "\UFFFFFFFF"', "error: request.yaml: "),
    ],
)
def test_odd_yaml_is_refused_and_no_bug(request_of: Plan, text: str, said: str) -> None:
    assert request_of.refused(text).startswith(said)


def test_a_file_with_many_faults_is_read_for_their_lines_once(
    request_of: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = yaml.SafeLoader.get_single_node
    reads = []
    monkeypatch.setattr(
        yaml.SafeLoader, "get_single_node", lambda self: reads.append(1) or read(self)
    )

    assert "request.yaml:40: shots.39: " in request_of.refused("- [a]\n" * 40)
    assert len(reads) == 2  # what it says, and where


def test_a_home_that_nobody_has_is_a_folder_that_is_missing(
    request_of: Plan, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["generate", "--request", "~nobody-of-this-name/a.yaml"]) == 2
    assert "cannot be read: No such file" in capsys.readouterr().err
    text = "prompt: x\ninputs: [{role: first_frame, path: ~nobody-of-this-name/a.png}]"
    (only,) = request_of(text).inputs
    assert only.path == str(Path.cwd() / "~nobody-of-this-name/a.png")


def test_a_flag_that_is_wrong_is_not_blamed_on_the_file(request_of: Plan) -> None:
    said = request_of.refused("prompt: a fox\nseed: 1\n", "--seed", "-1")

    assert said.startswith("error: seed -1 is not within")


def test_a_file_that_cannot_be_read_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    Path("binary").write_bytes(b"\xff\xfe\xff")

    for name, why in (("gone", "No such file"), (".", "Is a directory"), ("binary", "not UTF-8")):
        assert main(["generate", "--request", name]) == 2
        said = capsys.readouterr().err
        assert said.startswith(f"error: --request {name} cannot be read: ")
        assert why in said


def test_what_a_record_says_was_asked_can_be_asked_again() -> None:
    small = ("-d", "1", "--size", "64x64", "--seed", "3")
    assert main(["generate", "a fox", *small, "-o", "b.mp4"]) == 0
    asked = json.loads(Path("b.json").read_bytes())["asked"]
    Path("asked.json").write_text(json.dumps(asked), encoding="utf-8")

    assert (
        main(["generate", "-r", "asked.json", "--option", "latency_seconds=0", "-o", "c.mp4"]) == 0
    )

    again = json.loads(Path("c.json").read_bytes())
    assert again["asked"] == asked | {"options": {"sandbox": {"latency_seconds": 0}}}


def test_empty_text_of_a_known_field_is_none_and_a_mistyped_one_is_refused(
    request_of: Plan,
) -> None:
    empty = 'prompt: a fox\nmodel: sandbox\nsize: ""\naspect_ratio: ""\nlabels: ""\nseed:\n'

    assert request_of(empty) == VideoRequest(prompt="a fox", model="sandbox")
    assert "request.yaml:6: labls: unknown key; did you mean labels?" in request_of.refused(
        empty.replace("seed:", 'labls: ""')
    )


@pytest.mark.parametrize(
    ("text", "flags", "said"),
    [
        ("prompt: a\nmodel: 5\n", ["--option", "a=1"], "request.yaml:2: model"),
        ("prompt: a\nmodel: [x]\n", [], "request.yaml:2: model"),
        ("prompt: a\ninputs: [{role: [x], path: a.png}]\n", ["--image", "b.png"], "role"),
    ],
)
def test_a_value_of_another_type_is_refused_in_words(
    request_of: Plan, text: str, flags: list[str], said: str
) -> None:
    assert said in request_of.refused(text, *flags)


def test_a_closed_standard_input_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", None)

    assert main(["plan", "--request", "-"]) == 2
    assert "standard input is closed" in capsys.readouterr().err
    assert main(["keys", "set", "fal"]) == 2
    assert "no key was given" in capsys.readouterr().err
