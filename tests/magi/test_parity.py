import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from media_agent_magi.parity.__main__ import main
from media_agent_magi.parity.comparison import Comparison

GOLDEN = Path(__file__).parent / "golden"
VIDEO = "gen_i2v_distill_8steps_window1"


class Folder:
    """A copy of one case, to be damaged."""

    def __init__(self, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.path = path
        self._capsys = capsys

    def take(self, *stems: str) -> None:
        for stem in stems:
            for file in GOLDEN.glob(f"{stem}.*"):
                shutil.copy(file, self.path)

    def change_spec(self, stem: str, change: Callable[[dict[str, Any]], object]) -> None:
        file = self.path / f"{stem}.json"
        spec = json.loads(file.read_text())
        change(spec)
        file.write_text(json.dumps(spec))

    def change_tensors(
        self, stem: str, change: Callable[[dict[str, torch.Tensor]], object]
    ) -> None:
        file = self.path / f"{stem}.safetensors"
        tensors = load_file(file)
        change(tensors)
        save_file(tensors, file)

    def run(self) -> tuple[int, list[str]]:
        code = main([str(self.path)])
        return code, self._capsys.readouterr().out.splitlines()


@pytest.fixture
def folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Folder:
    return Folder(tmp_path, capsys)


@pytest.fixture
def video(folder: Folder) -> Folder:
    folder.take(VIDEO, "dit_a.weights")
    return folder


def find_refusal(folder: Folder) -> str:
    """The one line of a folder whose only case fails."""
    code, lines = folder.run()
    assert code == 1
    assert lines[-1] == "parity: 0 passed, 1 failed, 0 later"
    assert lines[0].startswith("failed")
    return lines[0]


def test_the_engine_agrees_with_the_golden_data(capsys: pytest.CaptureFixture[str]) -> None:
    code = main([str(GOLDEN)])
    lines = capsys.readouterr().out.splitlines()

    assert [line for line in lines if line.startswith("failed")] == []
    assert lines[-1] == "parity: 128 passed, 0 failed, 0 later"
    assert "unknown file: README.md" in lines
    assert code == 0


def test_a_whole_video_passes_alone(video: Folder) -> None:
    code, lines = video.run()

    assert code == 0
    assert lines[0].startswith(f"passed  {VIDEO}  chunk")
    assert lines[1:] == ["parity: 1 passed, 0 failed, 0 later"]


def test_a_wrong_number_is_found(video: Folder) -> None:
    video.change_tensors(VIDEO, lambda t: t["out.chunk_2"].mul_(1.001))

    assert "chunk 2 1.0e-03 (mark 1e-04)" in find_refusal(video)


def test_a_number_that_is_none_is_found(video: Folder) -> None:
    video.change_tensors(VIDEO, lambda t: t["out.chunk_1"].fill_(float("nan")))

    assert "chunk 1 nan" in find_refusal(video)


def test_a_missing_tensor_is_named(video: Folder) -> None:
    video.change_tensors(VIDEO, lambda t: t.pop("in.noise"))

    assert "tensor 'in.noise' is missing" in find_refusal(video)


def test_a_missing_entry_is_named(video: Folder) -> None:
    video.change_spec(VIDEO, lambda spec: spec.pop("chunk_num"))

    assert "entry 'chunk_num' is missing" in find_refusal(video)


def test_an_unknown_model_setting_is_named(video: Folder) -> None:
    video.change_spec(VIDEO, lambda spec: spec["config"]["model_config"].update(colour=1))

    assert "ModelConfig: unknown keys: colour" in find_refusal(video)


def test_another_key_range_changes_the_video(video: Folder) -> None:
    def look_elsewhere(spec: dict[str, Any]) -> None:
        spec["config"]["runtime_config"]["noise2clean_kvrange"] = [2, 2, 2, 2]

    video.change_spec(VIDEO, look_elsewhere)

    assert "chunk 2" in find_refusal(video)


def test_a_wrong_frame_count_is_found(video: Folder) -> None:
    video.change_spec(VIDEO, lambda spec: spec["emitted"].pop())

    assert "frames handed out [6, 6, 6, 6], not [6, 6, 6]" in find_refusal(video)


def test_missing_weights_are_named(folder: Folder) -> None:
    folder.take(VIDEO)

    assert "weights file dit_a.weights.safetensors is missing" in find_refusal(folder)


def test_a_file_cut_short_is_named(video: Folder) -> None:
    file = video.path / f"{VIDEO}.safetensors"
    file.write_bytes(file.read_bytes()[:50_000])

    assert f"cannot read {VIDEO}.safetensors" in find_refusal(video)


def test_tensors_without_a_description_are_a_failure(video: Folder) -> None:
    (video.path / f"{VIDEO}.json").unlink()

    assert f"{VIDEO}.json is missing" in find_refusal(video)


@pytest.mark.parametrize("text", ["{", "[1, 2]", ""])
def test_a_description_that_is_no_json_object_is_a_failure(video: Folder, text: str) -> None:
    (video.path / f"{VIDEO}.json").write_text(text)

    assert f"{VIDEO}.json" in find_refusal(video)


def test_a_file_of_cases_without_any_is_a_failure(folder: Folder) -> None:
    folder.take("timestep_schedules")
    folder.change_spec("timestep_schedules", lambda spec: spec["schedules"].clear())

    assert "holds no case" in find_refusal(folder)


def test_one_bad_case_does_not_hide_the_others(folder: Folder) -> None:
    folder.take("timestep_schedules")
    name = "num_steps=4;shortcut_mode=8,16,16;func=sd3"
    folder.change_spec("timestep_schedules", lambda spec: spec["schedules"].update({name: 3}))

    code, lines = folder.run()
    assert code == 1
    assert lines[-1] == "parity: 46 passed, 1 failed, 0 later"


def test_a_plan_with_other_steps_is_a_failure(folder: Folder) -> None:
    def bend(spec: dict[str, Any]) -> None:
        plan = spec["plans"]["base_8steps_w4_1chunk"]
        plan["forwards"][3]["slice_point"] = 1
        spec["plans"] = {"bent": plan}

    folder.take("stage_plans")
    folder.change_spec("stage_plans", bend)

    assert "forward 3, slice_point 0, not 1" in find_refusal(folder)


def test_a_wrong_intermediate_is_named(folder: Folder) -> None:
    folder.take("dit_a_distill.forward", "dit_a.weights")
    folder.change_tensors(
        "dit_a_distill.forward", lambda t: t["window_nocache.mid.condition"].mul_(1.01)
    )

    assert "mid.condition 9.9e-03" in find_refusal(folder)


@pytest.fixture
def policy(folder: Folder) -> Folder:
    """A forward in bfloat16, and the one in float32 whose inputs it has."""
    folder.take("dit_a.bf16_policy", "dit_a.forward", "dit_a.weights")
    return folder


def test_a_wrong_number_in_low_precision_is_found(policy: Folder) -> None:
    assert policy.run()[1][0].startswith("passed  dit_a.bf16_policy/window_nocache")

    policy.change_tensors("dit_a.bf16_policy", lambda t: t["out.velocity"].mul_(1.02))

    assert policy.run()[1][0].startswith("failed  dit_a.bf16_policy/window_nocache")


def test_a_model_that_rounds_nothing_is_found(policy: Folder) -> None:
    def in_float32(spec: dict[str, Any]) -> None:
        spec["config"]["model_config"]["params_dtype"] = "torch.float32"

    policy.change_spec("dit_a.bf16_policy", in_float32)

    assert "mid.t_embedder_sinusoid" in policy.run()[1][0]


def test_files_of_no_known_kind_are_named(folder: Folder) -> None:
    folder.take("fp8_linear")
    (folder.path / "notes.txt").write_text("")
    (folder.path / "other.json").write_text("{}")

    code, lines = folder.run()
    assert code == 0
    assert lines[2:4] == ["unknown file: notes.txt", "unknown file: other.json"]
    assert lines[-1] == "parity: 2 passed, 0 failed, 0 later"


def test_a_quantised_layer_that_scales_otherwise_is_found(folder: Folder) -> None:
    folder.take("fp8_linear")
    folder.change_tensors("fp8_linear", lambda t: t["per_channel.param.input_scale"].mul_(1.1))

    code, lines = folder.run()
    assert code == 1
    assert lines[1].startswith("failed  fp8_linear/per_channel  output")


def test_a_caption_that_is_cleaned_otherwise_is_found(folder: Folder) -> None:
    folder.take("prompt_cleaning")
    folder.change_spec(
        "prompt_cleaning", lambda spec: spec.update(pairs=[{"in": "A  Cat", "out": "A Cat"}])
    )

    assert "caption a cat, not A Cat" in find_refusal(folder)


def test_a_cache_use_that_nobody_knows_is_refused(folder: Folder) -> None:
    folder.take("dit_a_distill.forward", "dit_a.weights")
    folder.change_spec(
        "dit_a_distill.forward",
        lambda spec: spec["cases"]["window_nocache"].update(kv_cache="rewritten"),
    )

    assert "kv_cache 'rewritten' is none of" in find_refusal(folder)


def test_a_folder_without_cases_is_a_failure(folder: Folder) -> None:
    code, lines = folder.run()

    assert code == 1
    assert lines[0].startswith("no case found in")
    assert lines[-1] == "parity: 0 passed, 0 failed, 0 later"


def test_a_folder_that_is_not_there_is_named(folder: Folder) -> None:
    folder.path = folder.path / "nowhere"
    code, lines = folder.run()

    assert code == 1
    assert "no folder at" in lines[0]


def test_shapes_that_differ_are_told() -> None:
    done = Comparison()
    done.close("thing", torch.zeros(2), torch.zeros(3))

    assert not done.passed
    assert done.text() == "thing: shape (2,), not (3,)"


def test_nothing_compared_is_nothing_passed() -> None:
    assert not Comparison().passed
    assert Comparison().text() == "nothing to compare"
