"""SkyReels-V2 with tiny weights: from text, images and videos, and what is refused before."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from media_agent.errors import RequestError, UnsupportedRequestError
from media_agent_diffusers.describe import describe
from media_agent_diffusers.model_folder.folder import read_folder
from media_agent_schemas import Size
from tests.diffusers.families.folders import edit_json, publish
from tests.diffusers.families.making import (
    FolderOf,
    Maker,
    frames_of,
    image,
    open_maker,
    probe_made,
    video,
)

MODELS = ("skyreels", "skyreels-i2v", "skyreels-df")


@pytest.fixture(scope="module")
def maker(folder_of: FolderOf, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Maker]:
    with open_maker(folder_of, tmp_path_factory.mktemp("data"), *MODELS) as maker:
        yield maker


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("model", "inputs"),
    [
        ("skyreels", ()),
        ("skyreels-i2v", (image(),)),
        ("skyreels-df", ()),
        ("skyreels-df", (image(),)),
        ("skyreels-df", (image(), image("last_frame", "blue"))),
    ],
)
async def test_each_kind_of_work_becomes_a_video(
    maker: Maker, model: str, inputs: tuple[object, ...]
) -> None:
    done = await maker.make(model, inputs=inputs)

    facts = probe_made(done)
    assert (facts.frames, facts.fps, facts.width, facts.height) == (9, 24.0, 32, 32)
    assert (facts.codec, facts.container) == ("h264", "mp4")
    assert (done.model, done.warnings) == (model, ())


@pytest.mark.anyio
async def test_a_continuation_holds_the_new_frames_alone_and_depends_on_its_source(
    maker: Maker, tmp_path: Path
) -> None:
    made = [
        await maker.make("skyreels-df", inputs=(video(tmp_path, frames=19, shade=shade, fps=24),))
        for shade in (20, 220, 220)
    ]

    assert [probe_made(done).frames for done in made] == [9, 9, 9]
    assert [done.warnings for done in made] == [(), (), ()]
    dark, light, again = map(frames_of, made)
    assert not np.array_equal(dark, light)
    assert np.array_equal(light, again)  # some of its noise is beside the generator


@pytest.mark.anyio
async def test_a_source_shorter_than_the_history_is_continued_from_what_it_has(
    maker: Maker, tmp_path: Path
) -> None:
    done = await maker.make("skyreels-df", inputs=(video(tmp_path, frames=6, fps=24),))

    assert probe_made(done).frames == 9
    assert done.warnings == (
        "source_video has 6 frames, and the continuation begins from fewer than 17",
    )


@pytest.mark.anyio
async def test_blocks_of_one_call_are_not_those_of_the_next(maker: Maker) -> None:
    plain = await maker.make_frames("skyreels-df")
    one_by_one = {"ar_step": 1, "causal_block_size": 1}
    uneven = await maker.make_frames("skyreels-df", options=one_by_one)
    await maker.make("skyreels-df", num_frames=17, options={"ar_step": 1})  # a block of 5

    assert not np.array_equal(plain, uneven)
    assert np.array_equal(plain, await maker.make_frames("skyreels-df"))


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"options": {"ar_step": 1}}, "3 latent frames, which do not fill blocks of 5"),
        ({"options": {"ar_step": 1, "causal_block_size": 2}}, "do not fill blocks of 2"),
        ({"options": {"history": 17}}, "takes no option history"),
        ({"inputs": (image(),), "num_frames": 1}, "at least 5 frames"),
        ({"inputs": (image(), image("last_frame")), "num_frames": 5}, "makes 9 to 121 frames"),
    ],
)
async def test_what_does_not_go_together_is_refused_before_any_work(
    maker: Maker, fields: dict[str, object], said: str
) -> None:
    with pytest.raises(RequestError, match=said):
        await maker.backend.submit(maker.plan("skyreels-df", **fields).request, key="bad")

    assert not (maker.backend.settings.data_dir / "work" / "bad").exists()


def test_a_history_that_the_authors_do_not_use_is_refused(maker: Maker, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedRequestError, match="history"):
        maker.plan("skyreels-df", inputs=(video(tmp_path),), options={"history": 16})


def test_defaults_are_those_of_the_authors_for_each_kind_of_work(folder_of: FolderOf) -> None:
    variant = read_folder(folder_of("skyreels-df")).variant

    own = {
        task.mode.value: tuple(
            spec.default
            for spec in variant.options_of(task)
            if spec.name in ("num_inference_steps", "guidance_scale", "flow_shift", "history")
        )
        for task in variant.tasks
    }
    capabilities = describe("model", read_folder(folder_of("skyreels-df")))
    shown = {option.name: option.default for option in capabilities.options}

    assert own == {
        "text_to_video": (50, 6.0, 8.0),
        "image_to_video": (50, 5.0, 5.0),
        "first_last_frame": (50, 5.0, 5.0),
        "video_extend": (50, 6.0, 8.0, 17),
    }
    assert (shown["num_inference_steps"], shown["guidance_scale"]) == (50, None)
    assert capabilities.extends is True


@pytest.mark.parametrize(
    ("name", "size", "seconds"),
    [
        ("SkyReels-V2-DF-14B-540P-Diffusers", "960x544", 97 / 24),
        ("SkyReels-V2-DF-14B-720P-Diffusers", "1280x720", 121 / 24),
        ("mine", "960x544", 97 / 24),
        ("720p/mine", "960x544", 97 / 24),
        (
            "models--Skywork--SkyReels-V2-DF-14B-720P-Diffusers/snapshots/0a1b2c",
            "1280x720",
            121 / 24,
        ),
    ],
)
def test_the_name_of_the_folder_says_for_which_size_a_model_is(
    folder_of: FolderOf, tmp_path: Path, name: str, size: str, seconds: float
) -> None:
    copy = publish(folder_of("skyreels-df"), tmp_path / name)

    capabilities = describe("model", read_folder(copy))

    assert capabilities.default_size == Size.parse(size)
    assert capabilities.default_duration == seconds
    assert capabilities.max_frames == 121


@pytest.mark.parametrize(
    ("heads", "layers", "licence"),
    [(12, 30, "skywork-license"), (40, 40, "skywork-license"), (2, 2, None)],
)
def test_the_licence_is_that_of_the_published_models(
    folder_of: FolderOf, tmp_path: Path, heads: int, layers: int, licence: str | None
) -> None:
    copy = publish(folder_of("skyreels"), tmp_path / "copy")
    edit_json(copy / "transformer" / "config.json", num_attention_heads=heads, num_layers=layers)

    assert describe("model", read_folder(copy)).licence == licence
