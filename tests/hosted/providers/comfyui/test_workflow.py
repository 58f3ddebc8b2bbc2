"""A workflow and its slots, as the settings name them."""

import json
from pathlib import Path
from typing import Any

import pytest

from media_agent.errors import ConfigurationError
from media_agent.setup.check import check
from media_agent_hosted.providers.comfyui.workflow import Workflow
from media_agent_schemas.capabilities import Capabilities
from media_agent_schemas.media import InputRole, Size
from media_agent_schemas.request import VideoMode
from tests.hosted.providers.comfyui.kit import EXAMPLES, make, plan

WAN = json.loads((EXAMPLES / "wan-text-to-video.json").read_text("utf-8"))
PROMPT = {"prompt": "Prompt.text"}
FIXED = {"size": "64x36", "fps": 8, "duration": 2}


def facts(folder: Path, name: str) -> Capabilities:
    return make(folder, name=name).capabilities()


def test_the_settings_of_the_examples_have_no_faults() -> None:
    report = check(EXAMPLES / "media-agent.toml")

    assert [finding.text for finding in report.findings if finding.is_fault] == []


def test_the_check_of_the_settings_reads_the_workflow(tmp_path: Path) -> None:
    for file in EXAMPLES.iterdir():
        (tmp_path / file.name).write_text(
            file.read_text("utf-8").replace("KSampler.seed", "KSampler.sede"), encoding="utf-8"
        )

    report = check(tmp_path / "media-agent.toml")

    (fault,) = [finding.text for finding in report.findings if finding.is_fault]
    assert "backends.wan.options.slots.seed" in fault
    assert "did you mean seed?" in fault


def test_what_a_workflow_can_do_follows_from_its_slots(tmp_path: Path) -> None:
    wan, ltx, webp = (facts(tmp_path, name) for name in ("wan", "ltx", "webp"))

    assert [each.modes for each in (wan, ltx, webp)] == [
        (VideoMode.TEXT_TO_VIDEO,),
        (VideoMode.IMAGE_TO_VIDEO,),
        (VideoMode.TEXT_TO_VIDEO,),
    ]
    assert ltx.input_roles == (InputRole.FIRST_FRAME,)
    assert (wan.seed, wan.negative_prompt, webp.negative_prompt) == (True, True, False)
    assert wan.default_size == Size(width=832, height=480)
    assert [each.size_range and each.size_range.multiple for each in (wan, ltx)] == [16, 32]
    assert webp.sizes == (Size(width=512, height=320),)
    assert [(each.frame_multiple, each.frame_offset) for each in (wan, ltx, webp)] == [
        (4, 1),
        (8, 1),
        (1, 0),
    ]
    assert (wan.default_fps, wan.default_duration, wan.max_duration) == (16, 33 / 16, 5)
    assert (ltx.default_fps, ltx.max_duration, ltx.max_frames) == (25, None, 97)
    assert (webp.fps_values, webp.durations) == ((12,), (2,))
    assert [each.model for each in (wan, ltx, webp)] == [
        "wan-text-to-video",
        "ltx-image-to-video",
        "animated-webp",
    ]


@pytest.mark.parametrize(
    ("slots", "mode"),
    [
        ({"first_frame": "1.unet_name", "last_frame": "2.clip_name"}, VideoMode.FIRST_LAST_FRAME),
        ({"source_video": "1.unet_name"}, VideoMode.VIDEO_EDIT),
    ],
)
def test_a_slot_for_an_input_makes_it_needed(
    tmp_path: Path, slots: dict[str, str], mode: VideoMode
) -> None:
    found = make(tmp_path, slots=PROMPT | slots, **FIXED).capabilities()

    assert found.modes == (mode,)
    assert [role.value for role in found.input_roles] == list(slots)


def test_a_workflow_that_continues_a_video_says_so(tmp_path: Path) -> None:
    slots = PROMPT | {"source_video": "1.unet_name"}

    found = make(tmp_path, slots=slots, continues_source=True, **FIXED).capabilities()

    assert found.modes == (VideoMode.VIDEO_EXTEND,)


def test_steps_and_lengths_of_the_settings_count_more_than_those_of_the_nodes(
    tmp_path: Path,
) -> None:
    steps = {"size_multiple": 8, "frame_multiple": 6, "frame_offset": 0}
    backend = make(tmp_path, max_duration=20, **steps)

    request = plan(backend, size={"width": 104, "height": 56}, num_frames=12)

    assert (request.size, request.num_frames) == (Size(width=104, height=56), 12)
    assert backend.capabilities().max_duration == 20


@pytest.mark.parametrize(
    ("options", "place", "said"),
    [
        ({"slots": {"prompt": "Promt.text"}, **FIXED}, "slots.prompt", "did you mean Prompt?"),
        ({"slots": {"prompt": "Prompt.txt"}, **FIXED}, "slots.prompt", "did you mean text?"),
        ({"slots": {"prompt": "99.text"}, **FIXED}, "slots.prompt", "no node is called '99'"),
        ({"slots": {"prompt": "text"}, **FIXED}, "slots.prompt", "is not NODE.INPUT"),
        (
            {"slots": {"prompt": "KSampler.positive"}, **FIXED},
            "slots.prompt",
            "is wired to Prompt (node 5): name the input of that node",
        ),
        ({"slots": PROMPT | {"sed": "KSampler.seed"}}, "slots.sed", "did you mean seed?"),
        ({"slots": PROMPT | {"seed": []}}, "slots.seed", "at least 1"),
        ({"slots": {"seed": "KSampler.seed"}}, "slots.prompt", "it is missing"),
        ({"output": "Save Vide"}, "output", "did you mean Save Video?"),
        ({"parameters": {"cfg": "KSampler.cgf"}}, "parameters.cfg", "did you mean cfg?"),
        ({"workflow": "gone.json"}, "workflow", "gone.json cannot be read: No such file"),
        ({"workflow": "media-agent.toml"}, "workflow", "is not JSON; export it"),
        ({"slots": PROMPT, "fps": 8, "duration": 2}, "size", 'such as "832x480"'),
        ({"slots": PROMPT, "size": "64x36", "duration": 2}, "fps", "say the rate"),
        ({"slots": PROMPT, "size": "64x36", "fps": 8}, "duration", "say its seconds"),
    ],
)
def test_what_a_section_says_wrongly_is_named_with_what_was_meant(
    tmp_path: Path, options: dict[str, Any], place: str, said: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        make(tmp_path, **options)

    faults = {".".join(fault.place): fault.problem for fault in caught.value.faults}
    assert list(faults) == [f"backends.wan.options.{place}"]
    assert said in faults[f"backends.wan.options.{place}"]


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        make(tmp_path, slots={"prompt": "A.text", "seed": "B.seed"})

    assert len(caught.value.faults) == 5


@pytest.mark.parametrize(
    ("graph", "said"),
    [
        ({"nodes": [], "links": []}, "it is in the format of the editor; export it"),
        ({}, "it has no nodes"),
        ([], "is not a workflow"),
        ({"1": {"inputs": {}}}, "is not a node with a class_type"),
        ({"1": {"class_type": "X", "inputs": []}}, "are not an object"),
        ({**WAN, "12": WAN["5"]}, "2 nodes have the title 'Prompt': use an id (5, 12)"),
    ],
)
def test_another_file_than_an_exported_workflow_is_refused(
    tmp_path: Path, graph: Any, said: str
) -> None:
    (tmp_path / "own.json").write_text(json.dumps(graph), encoding="utf-8")

    with pytest.raises(ConfigurationError, match=said.replace("(", r"\(").replace(")", r"\)")):
        make(tmp_path, workflows=tmp_path, workflow="own.json")


def test_ids_count_before_titles_and_titles_may_hold_dots(tmp_path: Path) -> None:
    graph = {
        "1": {"class_type": "Text", "inputs": {"text": "a"}, "_meta": {"title": "2"}},
        "2": {"class_type": "Text", "inputs": {"text": "b"}, "_meta": {"title": "v1.0 Prompt"}},
        "3:4": {"class_type": "Seed", "inputs": {"seed": 1}},
    }
    (tmp_path / "own.json").write_text(json.dumps(graph), encoding="utf-8")
    slots = {"prompt": ["2.text", "v1.0 Prompt.text"], "seed": "3:4.seed"}

    backend = make(tmp_path, workflows=tmp_path, workflow="own.json", slots=slots, **FIXED)

    assert backend.capabilities().seed is True


def test_a_file_that_is_too_large_is_not_called_another_format(tmp_path: Path) -> None:
    path = tmp_path / "large.json"
    path.write_bytes(b" " * (16 * 2**20 + 1))

    with pytest.raises(ValueError, match=r"large\.json is larger than the 16777216 bytes"):
        Workflow.read(path)


@pytest.mark.parametrize("levels", [97, 98, 900])
def test_a_workflow_is_read_to_a_bounded_depth(tmp_path: Path, levels: int) -> None:
    path = tmp_path / "deep.json"
    deep = f"{'[' * levels}0{']' * levels}"
    path.write_text(f'{{"1": {{"class_type": "A", "inputs": {{"x": {deep}}}}}}}', encoding="utf-8")
    if levels == 97:
        workflow = Workflow.read(path)
        assert workflow.fill({})["1"] == json.loads(path.read_text("utf-8"))["1"]
        return

    with pytest.raises(ValueError, match="nested more than 100 levels deep"):
        Workflow.read(path)
