"""Videos of magi/tiny that are steered, broken off, branched, and made from images and videos."""

import gc
import json
import shutil
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from safetensors import safe_open

from media_agent.backend.protocol import BackendSettings
from media_agent.errors import ConfigurationError, InvalidRequestError, NotResumableError
from media_agent.testing import events_of
from media_agent.testing.simulator.videos import Video, make_video
from media_agent.video.codec import read_frames
from media_agent.video.images import as_png, frame_of
from media_agent_magi.backend import MagiBackend
from media_agent_magi.engine.cache import KVCache
from media_agent_magi.tiny.family import TinyFamily
from media_agent_schemas import (
    BackendEvent,
    ChangePrompt,
    ChunkReady,
    Finish,
    InputRole,
    JobCompleted,
    JobFailed,
    MediaInput,
    PromptChanged,
    ResumeToken,
    VideoMode,
    VideoRequest,
)
from tests.ingest.test_sound import sounding

if TYPE_CHECKING:
    from media_agent.video.codec import Frames

pytestmark = pytest.mark.anyio

RED, BLUE = "a red circle moving right", "a blue square"
FAST = {"num_inference_steps": 8}
CHUNK = 24

Make = Callable[..., MagiBackend]


@pytest.fixture
async def make(tmp_path: Path, raw_weights: Path, anyio_backend: str) -> AsyncIterator[Make]:
    made = []

    def one(weights: Path = raw_weights, **options: object) -> MagiBackend:
        settings = BackendSettings(data_dir=tmp_path, options=options)  # type: ignore[arg-type]
        made.append(MagiBackend(settings, [TinyFamily(weights)]))
        return made[-1]

    yield one
    for backend in made:
        await backend.aclose()


def request(given: Mapping[str, object] | None = None, **values: object) -> VideoRequest:
    known = {"prompt": RED, "model": "magi/tiny", "fps": CHUNK, "seed": 0}
    return VideoRequest.model_validate(
        known | {"options": {"magi": FAST | dict(given or {})}} | values
    )


async def run(
    backend: MagiBackend,
    asked: VideoRequest,
    key: str,
    resume: ResumeToken | None = None,
    command: ChangePrompt | Finish | None = None,
) -> list[BackendEvent]:
    ref = await backend.submit(asked, key=key, resume=resume)
    if command is not None:
        await backend.control(ref, command, number=1)
    return await events_of(backend, ref)


def videos_of(events: list[BackendEvent]) -> "list[Frames]":
    done = events[-1]
    assert isinstance(done, JobCompleted), done
    return [read_frames(Path(str(file.path))) for file in done.artifacts]


def tokens_of(events: list[BackendEvent]) -> list[ResumeToken]:
    tokens = [event.resume for event in events if isinstance(event, ChunkReady)]
    assert None not in tokens
    return [token for token in tokens if token is not None]


def checksum(state: Path) -> dict[str, str]:
    """Return what a state says of itself: its facts, and a digest of its tensors."""
    with safe_open(state, framework="pt") as content:
        return dict(content.metadata())


async def test_a_video_continues_from_any_chunk_exactly_as_if_nothing_had_happened(
    make: Make, tmp_path: Path
) -> None:
    asked = request(num_frames=5 * CHUNK - 5)
    backend = make()
    whole = await run(backend, asked, "video")
    frames = videos_of(whole)[0]  # the file itself is written again
    states = sorted((tmp_path / "work" / "video" / "states").iterdir())
    before = [checksum(path) for path in states]

    for token in tokens_of(whole)[0:4:3]:
        again = await run(make(), asked, "video", resume=token)

        assert np.array_equal(videos_of(again)[0], frames)
        indices = [event.index for event in again if isinstance(event, ChunkReady)]
        assert indices == list(range(token.next_chunk, 5))
    assert [checksum(path) for path in states] == before


async def test_what_can_be_watched_at_every_chunk_is_the_beginning_of_the_video(make: Make) -> None:
    backend = make()
    ref = await backend.submit(request(num_frames=4 * CHUNK + 5), key="video")
    watched, events = [], []

    async with aclosing(backend.observe(ref)) as observed:
        async for event in observed:
            events.append(event)
            if isinstance(event, ChunkReady):
                watched.append(read_frames(Path(str(event.path))))

    video = videos_of(events)[0]
    assert len(video) == 4 * CHUNK + 5
    assert len(watched) == 5
    for number, frames in enumerate(watched, start=1):
        assert len(frames) >= min(number * CHUNK, len(video))
        assert np.array_equal(frames, video[: len(frames)])


async def test_a_steered_video_continues_as_it_was_steered(make: Make) -> None:
    asked = request(num_frames=6 * CHUNK)
    command = ChangePrompt(prompt=BLUE, at=4)

    whole = await run(make(), asked, "steered", command=command)
    plain = await run(make(), asked, "plain")
    again = await run(make(), asked, "steered", resume=tokens_of(whole)[1])

    assert [event for event in whole if isinstance(event, PromptChanged)] == [
        PromptChanged(chunk=4, prompt=BLUE)
    ]
    steered, unsteered = videos_of(whole)[0], videos_of(plain)[0]
    assert np.array_equal(steered[:CHUNK], unsteered[:CHUNK])
    assert (steered[4 * CHUNK :] != unsteered[4 * CHUNK :]).any()
    assert np.array_equal(videos_of(again)[0], steered)


async def test_chunks_in_work_have_the_prompt_that_they_were_given_just_before_a_kill(
    make: Make, tmp_path: Path
) -> None:
    asked = request(num_frames=6 * CHUNK)
    whole = await run(make(), asked, "video")
    steered = json.dumps({"prompts": {3: BLUE}, "last": None})
    (tmp_path / "work" / "video" / "steered.json").write_text(steered)

    await run(make(), asked, "video", resume=tokens_of(whole)[1])

    facts = checksum(tmp_path / "work" / "video" / "states" / "00000003.safetensors")["facts"]
    prompts = json.loads(facts)["prompts"]
    assert [prompts[chunk] for chunk in "234"] == [RED, BLUE, BLUE]


async def test_a_video_told_to_finish_has_the_same_end_whenever_it_is_killed(make: Make) -> None:
    asked = request(endless=True, n=2)
    backend = make()
    ref = await backend.submit(asked, key="video")
    async with aclosing(backend.observe(ref)) as observed:
        events = []
        async for event in observed:
            events.append(event)
            if isinstance(event, ChunkReady) and event.index == 1:
                await backend.control(ref, Finish(), number=1)
                await backend.control(ref, Finish(), number=2)
    whole, tokens = videos_of(events), tokens_of(events)

    for token in tokens:
        again = videos_of(await run(make(), asked, "video", resume=token))

        assert len(again) == 2
        assert all(map(np.array_equal, again, whole))
    assert len(whole[0]) == len(tokens) * CHUNK >= 3 * CHUNK


async def test_a_video_is_finished_before_the_first_of_its_chunks_is_out(make: Make) -> None:
    asked = request(endless=True)

    whole = await run(make(), asked, "video", command=Finish())
    again = await run(make(), asked, "video", resume=tokens_of(whole)[0])

    assert len(videos_of(whole)[0]) == len(videos_of(again)[0]) == CHUNK


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize(
    ("length", "command"), [({"num_frames": CHUNK}, None), ({"endless": True}, Finish())]
)
async def test_the_keys_of_a_video_go_with_it(
    make: Make, length: dict[str, object], command: Finish | None
) -> None:
    await run(make(), request(**length), "video", command=command)

    assert [each for each in gc.get_objects() if type(each) is KVCache] == []


@pytest.mark.usefixtures("no_collector")
async def test_the_keys_of_a_video_that_is_broken_off_go_with_it(make: Make) -> None:
    backend = make()
    ref = await backend.submit(request(endless=True), key="video")
    async with aclosing(backend.observe(ref)) as events:
        async for event in events:
            if isinstance(event, ChunkReady):
                await backend.cancel(ref)

    assert [each for each in gc.get_objects() if type(each) is KVCache] == []


async def test_a_branch_of_a_finished_video_has_its_own_length(make: Make) -> None:
    parent = await run(make(), request(endless=True), "parent", command=Finish())
    token = tokens_of(parent)[0].model_copy(update={"key": "parent"})

    branch = await run(make(), request(num_frames=3 * CHUNK), "branch", resume=token)

    assert len(videos_of(branch)[0]) == 3 * CHUNK


async def test_a_state_of_other_work_is_refused_with_the_way_out(make: Make) -> None:
    asked = request(num_frames=3 * CHUNK)
    token = tokens_of(await run(make(), asked, "video"))[1]

    other = await run(make(guidance_scale=1.0), asked, "video", resume=token)

    check_refusal(other, "guidance")


@pytest.mark.parametrize("damage", ["cut", "rubbish", "changed", "lost"])
async def test_a_damaged_newest_state_is_passed_over_for_the_newest_that_is_whole(
    make: Make, tmp_path: Path, damage: str
) -> None:
    asked = request(num_frames=5 * CHUNK)
    whole = await run(make(), asked, "video")
    frames = videos_of(whole)[0]
    states = tmp_path / "work" / "video" / "states"
    for chunk, how in ((4, damage), (3, "cut")):
        spoil(states / f"{chunk:08d}.safetensors", how)

    again = await run(make(), asked, "video", resume=tokens_of(whole)[3])

    assert np.array_equal(videos_of(again)[0], frames)
    assert [event.index for event in again if isinstance(event, ChunkReady)] == [4]
    done = again[-1]
    assert isinstance(done, JobCompleted)
    [warning] = done.warnings
    assert "00000004.safetensors" in warning
    assert "the one after chunk 2 is used, and chunks 3 to 4 are computed again" in warning
    again = await run(make(), asked, "video", resume=tokens_of(whole)[3])
    assert isinstance(again[-1], JobCompleted)
    assert not again[-1].warnings, "the damaged state was made again"


async def test_a_steered_video_passes_a_damaged_state_over_and_stays_as_it_was_steered(
    make: Make, tmp_path: Path
) -> None:
    asked = request(num_frames=4 * CHUNK)
    command = ChangePrompt(prompt=BLUE, at=2)
    whole = await run(make(), asked, "video", command=command)
    frames = videos_of(whole)[0]
    spoil(tmp_path / "work" / "video" / "states" / "00000003.safetensors", "cut")

    again = await run(make(), asked, "video", resume=tokens_of(whole)[2], command=command)

    assert np.array_equal(videos_of(again)[0], frames)


async def test_what_is_told_while_chunks_are_computed_again_holds_for_new_ones_only(
    make: Make, tmp_path: Path
) -> None:
    asked = request(num_frames=7 * CHUNK)
    told = ChangePrompt(prompt=BLUE, at="next")
    expected = await run(make(), asked, "other")
    frames = videos_of(expected)[0]
    shutil.copytree(tmp_path / "work" / "other", tmp_path / "work" / "video")
    spoil(tmp_path / "work" / "video" / "states" / "00000003.safetensors", "cut")

    passed = await run(make(), asked, "video", resume=tokens_of(expected)[2], command=told)
    plain = await run(make(), asked, "other", resume=tokens_of(expected)[2], command=told)

    assert np.array_equal(videos_of(passed)[0], videos_of(plain)[0])
    assert not np.array_equal(videos_of(plain)[0], frames)


async def test_without_a_whole_state_it_is_said_what_is_left(make: Make, tmp_path: Path) -> None:
    asked = request(num_frames=3 * CHUNK)
    token = tokens_of(await run(make(), asked, "video"))[1]
    for state in (tmp_path / "work" / "video" / "states").iterdir():
        spoil(state, "cut")

    check_refusal(await run(make(), asked, "video", resume=token), "of the first 2 chunks")


def spoil(state: Path, how: str) -> None:
    content = bytearray(state.read_bytes())
    if how == "changed":
        content[-5] ^= 1
    match how:
        case "lost":
            state.unlink()
        case "rubbish":
            state.write_bytes(b"rubbish")
        case "changed":
            state.write_bytes(content)
        case _:
            state.write_bytes(content[: len(content) // 2])


def check_refusal(events: list[BackendEvent], said: str) -> None:
    failed = events[-1]
    assert isinstance(failed, JobFailed)
    assert failed.error.code == NotResumableError.code
    assert said in failed.error.message
    assert "branch at an earlier chunk or generate it again" in (failed.error.hint or "")
    assert failed.artifacts, "the video so far is kept"


@pytest.mark.parametrize(
    ("options", "kept"), [({"keep_states": 2}, {1, 2, 4, 5}), ({"states_budget": 0.0008}, {4, 5})]
)
async def test_the_newest_states_are_kept_and_others_thinned_out_within_the_budget(
    options: dict[str, float], kept: set[int], make: Make, tmp_path: Path, full_weights: Path
) -> None:
    await run(make(full_weights), request(options, num_frames=5 * CHUNK), "video")

    states = {int(path.stem) for path in (tmp_path / "work" / "video" / "states").iterdir()}
    assert {5} <= states <= kept  # the one before the newest may still be needed by an observer


async def test_no_state_is_kept_behind_a_last_chunk_that_was_cut(
    make: Make, tmp_path: Path
) -> None:
    await run(make(), request(num_frames=4 * CHUNK + 5), "video")

    kept = sorted(path.stem for path in (tmp_path / "work" / "video" / "states").iterdir())
    assert kept[-1] == "00000004"


async def test_a_branch_shows_the_old_chunks_and_then_its_own_prompt(make: Make) -> None:
    backend = make()
    whole = await run(backend, request(num_frames=4 * CHUNK), "parent")
    token = tokens_of(whole)[1].model_copy(update={"key": "parent"})
    shots = ({"prompt": RED, "duration": 2}, {"prompt": BLUE, "duration": 2.5})
    asked = request(prompt=None, shots=shots, num_frames=4 * CHUNK + 12)

    branch = await run(backend, asked, "branch", resume=token)
    again = await run(make(), asked, "branch", resume=tokens_of(branch)[1])

    parent, video = videos_of(whole)[0], videos_of(branch)[0]
    assert len(video) == 4 * CHUNK + 12
    assert np.array_equal(video[: 2 * CHUNK], parent[: 2 * CHUNK])
    assert (video[2 * CHUNK : 3 * CHUNK] != parent[2 * CHUNK : 3 * CHUNK]).any()
    assert np.array_equal(videos_of(again)[0], video)


async def test_several_videos_are_those_that_their_seeds_make_alone(make: Make) -> None:
    backend = make()

    both = videos_of(await run(backend, request(num_frames=CHUNK + 7, n=2, seed=5), "both"))
    alone = videos_of(await run(backend, request(num_frames=CHUNK + 7, seed=6), "alone"))

    assert [len(video) for video in both] == [CHUNK + 7] * 2
    assert np.abs(both[1].astype(int) - alone[0]).max() <= 12  # sums are rounded in another order
    assert (both[0] != both[1]).any()


def image(width: int, height: int) -> MediaInput:
    png = as_png(frame_of(bytes((200, 30, 30)) * (width * height), width, height))
    return MediaInput(role=InputRole.FIRST_FRAME, data=png)


def source(frames: int = 31) -> MediaInput:
    return MediaInput(role=InputRole.SOURCE_VIDEO, data=make_video(Video(frames=frames)))


async def test_a_video_begins_with_an_image_and_says_how_it_was_made_to_fit(make: Make) -> None:
    events = await run(make(), request(num_frames=30, inputs=(image(96, 48),)), "video")

    done = events[-1]
    assert isinstance(done, JobCompleted)
    assert len(videos_of(events)[0]) == 30
    assert any("96x48, cropped to 64x64" in warning for warning in done.warnings), done.warnings


@pytest.mark.parametrize("frames", [5, 31, 60])
async def test_a_video_continues_behind_any_other_by_as_many_frames_as_were_asked(
    make: Make, frames: int
) -> None:
    wide = request({"context_frames": 48}, num_frames=30, inputs=(source(frames),))

    events = await run(make(), wide, "video")

    assert len(videos_of(events)[0]) == 30
    sizes = [event.frames for event in events if isinstance(event, ChunkReady)]
    assert sizes == [24, 6]


async def test_a_video_is_restyled_as_far_as_was_asked(make: Make) -> None:
    backend = make()

    def edit(strength: float) -> VideoRequest:
        mode = VideoMode.VIDEO_EDIT
        return request({"strength": strength}, num_frames=30, mode=mode, inputs=(source(),))

    little = videos_of(await run(backend, edit(0.05), "little"))[0]
    much = videos_of(await run(backend, edit(1.0), "much"))[0]

    assert len(little) == len(much) == 30
    assert (little != much).any()


async def test_a_restyled_video_continues_with_its_own_source_and_strength_only(
    make: Make, tmp_path: Path
) -> None:
    path = tmp_path / "source.mp4"
    path.write_bytes(make_video(Video(frames=2 * CHUNK)))
    medium = MediaInput(role=InputRole.SOURCE_VIDEO, path=str(path))
    asked = request(num_frames=2 * CHUNK, mode=VideoMode.VIDEO_EDIT, inputs=(medium,))
    whole = await run(make(), asked, "video")
    token = tokens_of(whole)[0]

    same = await run(make(), asked, "video", resume=token)
    stronger = await run(make(strength=0.95), asked, "video", resume=token)
    path.write_bytes(make_video(Video(frames=2 * CHUNK - 1)))
    other = await run(make(), asked, "video", resume=token)

    assert np.array_equal(videos_of(same)[0], videos_of(whole)[0])
    for events, said in ((stronger, "its strength is 0.6, not 0.95"), (other, "its source is")):
        failed = events[-1]
        assert isinstance(failed, JobFailed)
        assert failed.error.code == NotResumableError.code
        assert said in failed.error.message


async def test_a_video_made_from_words_continues_whatever_the_strength_of_others(
    make: Make,
) -> None:
    asked = request(num_frames=2 * CHUNK)
    whole = await run(make(), asked, "video")

    again = await run(make(strength=0.95), asked, "video", resume=tokens_of(whole)[0])

    assert np.array_equal(videos_of(again)[0], videos_of(whole)[0])


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"inputs": (source(), source())}, "not from source_video and source_video"),
        ({"mode": "image_to_video", "inputs": (source(),)}, "from first_frame"),
        ({"prompt": None, "inputs": (source(),)}, "needs a prompt"),
    ],
)
async def test_inputs_that_fit_no_mode_are_refused(
    make: Make, values: dict[str, object], said: str
) -> None:
    with pytest.raises(InvalidRequestError, match=said):
        await make().submit(request(None, **values), key="video")


async def test_an_unreadable_input_fails_the_video_and_names_what_it_is(make: Make) -> None:
    medium = MediaInput(role=InputRole.FIRST_FRAME, data=b"no image, but words")

    failed = (await run(make(), request(num_frames=24, inputs=(medium,)), "video"))[-1]

    assert isinstance(failed, JobFailed)
    assert failed.error.code == InvalidRequestError.code


async def test_unknown_options_of_the_settings_are_refused(make: Make) -> None:
    with pytest.raises(ConfigurationError, match="magi settings: option guidance_scal"):
        make(guidance_scal=3)


async def test_a_prompt_that_cannot_be_drawn_is_a_warning_as_it_is_in_a_shot(make: Make) -> None:
    command = ChangePrompt(prompt="a white square moving up")

    events = await run(make(), request(num_frames=6 * CHUNK), "video", command=command)

    end = events[-1]
    assert isinstance(end, JobCompleted)
    assert [each for each in end.warnings if "may not follow 'a white square" in each]


async def test_a_prompt_that_is_too_long_cannot_steer(make: Make) -> None:
    backend = make()
    ref = await backend.submit(request(num_frames=24), key="video")

    with pytest.raises(InvalidRequestError, match="has 40 words"):
        await backend.control(ref, ChangePrompt(prompt="red " * 40), number=1)


async def test_what_is_kept_on_disk_is_said_beforehand(
    make: Make, tmp_path: Path, full_weights: Path
) -> None:
    asked = request({"keep_states": 2}, num_frames=6 * CHUNK)
    said = make(full_weights).estimate(asked).disk_bytes

    await run(make(full_weights), asked, "video")

    folder = tmp_path / "work" / "video"
    kept = sum(
        path.stat().st_size for part in ("chunks", "states") for path in (folder / part).iterdir()
    )
    assert said is not None
    assert 0.5 * kept < said < 2 * kept
    assert make().estimate(request(endless=True)).disk_bytes is None


@pytest.mark.parametrize(("audio", "is_kept"), [(None, True), (False, False)])
async def test_a_restyled_video_keeps_the_sound_of_its_source(
    make: Make, audio: bool | None, is_kept: bool
) -> None:
    medium = MediaInput(role=InputRole.SOURCE_VIDEO, data=sounding())
    asked = request(num_frames=48, mode=VideoMode.VIDEO_EDIT, inputs=(medium,), audio=audio)

    events = await run(make(), asked, "video")
    again = await run(make(), asked, "video", resume=tokens_of(events)[0])

    for done in (events[-1], again[-1]):
        assert isinstance(done, JobCompleted)
        [video] = done.artifacts
        assert video.metadata is not None
        assert video.metadata.has_audio == is_kept
        assert video.metadata.frames == 48
        assert not [said for said in done.warnings if "sound" in said]


async def test_sound_that_is_longer_than_the_video_is_cut_and_told(make: Make) -> None:
    medium = MediaInput(role=InputRole.SOURCE_VIDEO, data=sounding(seconds=5.0))
    asked = request(num_frames=48, mode=VideoMode.VIDEO_EDIT, inputs=(medium,))

    done = (await run(make(), asked, "video"))[-1]

    assert isinstance(done, JobCompleted)
    assert ["the sound was cut" in said for said in done.warnings if "sound" in said] == [True]


async def test_sound_that_cannot_be_copied_is_told_and_the_video_made(make: Make) -> None:
    medium = MediaInput(role=InputRole.SOURCE_VIDEO, data=sounding("wmav2", "asf"))
    asked = request(num_frames=24, mode=VideoMode.VIDEO_EDIT, inputs=(medium,))

    done = (await run(make(), asked, "video"))[-1]

    assert isinstance(done, JobCompleted)
    assert ["the video is silent" in said for said in done.warnings if "sound" in said] == [True]


async def test_a_video_that_continues_another_says_that_it_is_silent(make: Make) -> None:
    medium = MediaInput(role=InputRole.SOURCE_VIDEO, data=sounding())
    asked = request(num_frames=24, mode=VideoMode.VIDEO_EXTEND, inputs=(medium,))

    done = (await run(make(), asked, "video"))[-1]

    assert isinstance(done, JobCompleted)
    assert [
        "which the model does not use" in said for said in done.warnings if "sound" in said
    ] == [True]
