"""LoRA weights change a video, are recorded, and leave the model as it was."""

import asyncio
import hashlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from media_agent.backend.protocol import BackendSettings
from media_agent.errors import InvalidRequestError, UnsupportedRequestError
from media_agent.negotiation.negotiate import negotiate
from media_agent.testing import events_of
from media_agent.video.codec import read_frames
from media_agent_diffusers.backend import DiffusersBackend
from media_agent_schemas import Plan, Size, VideoRequest
from media_agent_schemas.events import JobCompleted, JobFailed

LAYERS = ("blocks.0.attn1.to_q", "blocks.1.attn2.to_k")
WIDTH = 24


def write_lora(path: Path, layers: tuple[str, ...] = LAYERS, width: int = WIDTH) -> Path:
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(1)
    tensors = {
        f"transformer.{layer}.lora_{letter}.weight": torch.randn(shape)
        for layer in layers
        for letter, shape in (("A", (4, width)), ("B", (width, 4)))
    }
    save_file(tensors, path)
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    pytest.importorskip("safetensors.torch")
    folder = tmp_path_factory.mktemp("loras")
    return {
        "style": write_lora(folder / "style.safetensors"),
        "wrong": write_lora(folder / "wrong.safetensors", ("blocks.7.attn1.to_q",)),
        "large": write_lora(folder / "large.safetensors", width=48),
    }


@pytest.fixture(scope="module")
def backend(
    folder_of: Callable[[str], Path],
    files: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[DiffusersBackend]:
    models = {name: str(folder_of(name)) for name in ("wan", "wan-2.2", "mochi")}
    loras = {name: str(path) for name, path in files.items()}
    options: Any = {"models": models, "loras": {"wan": loras, "wan-2.2": loras}}
    data_dir = tmp_path_factory.mktemp("data")
    backend = DiffusersBackend(BackendSettings(data_dir, options, threads=1))
    yield backend
    asyncio.run(backend.aclose())


def make_plan(backend: DiffusersBackend, model: str = "wan", **options: object) -> Plan:
    request = VideoRequest.model_validate(
        {
            "prompt": "a red cat",
            "model": f"diffusers/{model}",
            "size": Size(width=32, height=16),
            "seed": 0,
            "num_frames": 5,
            "options": {
                "diffusers": {"num_inference_steps": 2, "max_sequence_length": 16, **options}
            },
        }
    )
    return negotiate(request, backend.capabilities(model), draw_seed=lambda: 0)


async def run(
    backend: DiffusersBackend, key: str, **options: Any
) -> tuple[JobCompleted | JobFailed, np.ndarray | None]:
    plan = make_plan(backend, **options)
    done = (await events_of(backend, await backend.submit(plan.request, key=key)))[-1]
    assert isinstance(done, JobCompleted | JobFailed)
    frames = read_frames(Path(done.artifacts[0].path or "")) if done.artifacts else None
    return done, frames


@pytest.mark.anyio
async def test_lora_weights_change_the_video_and_the_next_one_is_as_before(
    backend: DiffusersBackend, files: dict[str, Path]
) -> None:
    _, before = await run(backend, "before")
    done, changed = await run(backend, "changed", lora="style:0.8")
    _, after = await run(backend, "after")
    _, without = await run(backend, "without", lora="style:0")

    assert before is not None
    assert changed is not None
    assert not np.array_equal(before, changed)
    assert np.array_equal(before, after)
    assert np.array_equal(before, without)
    assert done.computation is not None
    (applied,) = done.computation.loras
    digest = hashlib.sha256(files["style"].read_bytes()).hexdigest()
    assert applied.model_dump() == {
        "name": "style",
        "component": "transformer",
        "weight": 0.8,
        "sha256": digest,
    }


@pytest.mark.anyio
async def test_each_transformer_has_its_own_lora_weights(backend: DiffusersBackend) -> None:
    results = [
        await run(backend, f"two-{number}", model="wan-2.2", **options)
        for number, options in enumerate(({}, {"lora": "style"}, {"lora_2": "style:2"}))
    ]

    videos = [frames for _, frames in results]
    assert not np.array_equal(videos[0], videos[1])
    assert not np.array_equal(videos[0], videos[2])
    assert not np.array_equal(videos[1], videos[2])
    applied = [done.computation.loras for done, _ in results if done.computation is not None]
    assert [[each.component for each in loras] for loras in applied] == [
        [],
        ["transformer"],
        ["transformer_2"],
    ]


def test_lora_weights_work_where_layers_are_moved_about(
    folder_of: Callable[[str], Path], files: dict[str, Path]
) -> None:
    import torch

    from media_agent_diffusers.lora.choice import choose_loras
    from media_agent_diffusers.model_folder.folder import read_folder
    from media_agent_diffusers.pipelines.pipeline import LoadedPipeline
    from media_agent_diffusers.settings import DiffusersOptions

    pipeline = LoadedPipeline(read_folder(folder_of("wan")), DiffusersOptions(), threads=1)
    arguments = {"prompt": "a cat", "width": 16, "height": 16, "num_frames": 5}

    def frames(lora: str) -> np.ndarray:
        return pipeline.run(
            {**arguments, "num_inference_steps": 2},
            seed=0,
            on_step=lambda done, total: None,
            loras=choose_loras({"lora": lora}, files),
        ).frames

    before = [frames("style"), frames("")]
    pipeline._pipe.enable_group_offload(torch.device("cpu"), offload_type="leaf_level")

    assert np.array_equal(before[0], frames("style"))
    assert np.array_equal(before[1], frames(""))
    pipeline.release()


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("name", "said"),
    [("wrong", r"no layer 'transformer\.blocks\.7"), ("large", "of this shape")],
)
async def test_weights_of_another_model_fail_the_job_and_leave_the_model_usable(
    backend: DiffusersBackend, name: str, said: str
) -> None:
    _, before = await run(backend, f"before-{name}")
    done, _ = await run(backend, name, lora=f"style,{name}")
    _, after = await run(backend, f"after-{name}")

    assert isinstance(done, JobFailed)
    assert re.search(said, done.error.message)
    assert np.array_equal(before, after)  # also the one that did fit is gone


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        ("stile", "no LoRA 'stile'", "did you mean style"),
        ("style:strong", "'strong' is no weight", "NAME:0.8"),
        ("style:nan", "'nan' is no weight", "NAME:0.8"),
        ("style,style:2", "style twice", "once"),
        (":2", "no LoRA ''", "loras"),
    ],
)
async def test_a_wrong_choice_is_refused_before_anything_is_loaded(
    backend: DiffusersBackend, text: str, said: str, hint: str
) -> None:
    with pytest.raises(InvalidRequestError, match=said) as caught:
        await backend.submit(make_plan(backend, lora=text).request, key="never")
    with pytest.raises(InvalidRequestError, match=said):  # planning asks for an estimate
        backend.estimate(make_plan(backend, lora=text).request)

    assert hint in (caught.value.hint or "")


def test_a_model_without_lora_files_has_no_such_option(backend: DiffusersBackend) -> None:
    names = {option.name for option in backend.capabilities("wan").options}

    assert "lora" in names
    assert "lora_2" not in names
    with pytest.raises(UnsupportedRequestError, match="option lora"):
        make_plan(backend, model="mochi", lora="style")


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("gone.safetensors", "No such file"),
        ("weights.bin", "can run code"),
        ("cut.safetensors", "cut off"),
        ("folder", "0 safetensors files"),
    ],
)
async def test_a_file_that_cannot_be_used_is_refused_before_anything_is_loaded(
    folder_of: Callable[[str], Path], files: dict[str, Path], tmp_path: Path, name: str, said: str
) -> None:
    (tmp_path / "weights.bin").write_bytes(b"pickle")
    (tmp_path / "cut.safetensors").write_bytes(files["style"].read_bytes()[:99])
    (tmp_path / "folder").mkdir()
    options: Any = {"models": {"wan": str(folder_of("wan"))}, "loras": {"wan": {"it": name}}}
    settings = BackendSettings(tmp_path / "data", options, folder=tmp_path, threads=1)
    backend = DiffusersBackend(settings)

    (described,) = (
        each.description for each in backend.capabilities("wan").options if each.name == "lora"
    )
    with pytest.raises(InvalidRequestError, match=said):
        await backend.submit(make_plan(backend, lora="it").request, key="never")
    await backend.aclose()

    assert ("missing" in described) == name.startswith("gone")


def test_a_folder_may_name_the_one_file_in_it(files: dict[str, Path], tmp_path: Path) -> None:
    from media_agent_diffusers.lora.choice import choose_loras

    (tmp_path / "only.safetensors").write_bytes(files["style"].read_bytes())

    (chosen,) = choose_loras({"lora": "it:-0.5"}, {"it": tmp_path})

    assert (chosen.file, chosen.weight) == (tmp_path / "only.safetensors", -0.5)
