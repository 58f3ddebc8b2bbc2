"""The kit finds backends of videos of fixed length that take commands and forget them."""

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from media_agent.backend.local import Chunk, GenerationContext, LocalBackend, Steering
from media_agent.backend.protocol import BackendSettings
from media_agent.testing.conformance import BackendConformance
from media_agent_schemas import ResumeToken
from media_agent_schemas.capabilities import Capabilities, Control
from media_agent_schemas.estimate import Estimate
from media_agent_schemas.media import Size
from media_agent_schemas.request import VideoRequest

pytestmark = pytest.mark.anyio

CHUNK = 4  # frames


class Steered(LocalBackend):
    """Makes gray videos, chunk by chunk, and follows commands."""

    kind = "steered"

    def capabilities(self, model: str | None = None) -> Capabilities:
        return Capabilities(
            backend="steered",
            model="gray",
            local=True,
            default_size=Size(width=32, height=32),
            default_fps=8.0,
            default_duration=1.0,
            streams=True,
            chunk_seconds=CHUNK / 8,
            controls=tuple(Control),
        )

    def estimate(self, request: VideoRequest) -> Estimate:
        return Estimate(cost_usd=0.0)

    def generate(self, request: VideoRequest, context: GenerationContext) -> Iterator[Chunk]:
        chunks = -(-(request.num_frames or 0) // CHUNK)
        steering = Steering(context, chunks=chunks)
        time.sleep(0.5)  # in which commands come, also on a busy machine
        for index in range(chunks):
            self.follow(steering, index)
            if steering.ends_before(index):
                return
            frames = min(CHUNK, (request.num_frames or 0) - index * CHUNK)
            yield Chunk(index, np.full((frames, 32, 32, 3), 128, np.uint8), None)

    def follow(self, steering: Steering, index: int) -> None:
        steering.take(index, last=index)


class Forgetful(Steered):
    """Declares commands and never looks at them."""

    def follow(self, steering: Steering, index: int) -> None: ...


class Rounded(Steered):
    """Resumes a video a little otherwise than it would have gone on; `exact` is what it says."""

    exact = False

    def capabilities(self, model: str | None = None) -> Capabilities:
        return super().capabilities().model_copy(update={"resumable": True, "cancels": True})

    def generate(self, request: VideoRequest, context: GenerationContext) -> Iterator[Chunk]:
        chunks = -(-(request.num_frames or 0) // CHUNK)
        begun = 0 if context.resume is None else context.resume.next_chunk
        for index in range(begun, chunks):
            token = ResumeToken(
                backend=self.name, model="gray", next_chunk=index + 1, exact=self.exact
            )
            shade = np.full((CHUNK, 32, 32, 3), 160 if begun else 128, np.uint8)
            yield Chunk(index, shade, token, lambda path: path.write_bytes(b"state"))


class Kit(BackendConformance):
    __test__ = False


async def keeps(made: LocalBackend, rule: str, *more: object) -> bool:
    kit = Kit()

    def request(**fields: object) -> VideoRequest:
        asked = {"prompt": "gray", "duration": 1.0, "fps": 8.0, "size": Size(width=32, height=32)}
        whole = VideoRequest.model_validate(asked | fields)
        frames = round((whole.seconds() or 0) * 8)
        return whole.model_copy(update={"duration": None, "num_frames": frames, "seed": 0})

    try:
        await getattr(kit, rule)(made, made.capabilities(), *more, request)
    except AssertionError:
        return False
    finally:
        await made.aclose()
    return True


@pytest.mark.parametrize(
    "rule",
    [
        "test_a_new_prompt_for_a_video_of_fixed_length_has_an_effect",
        "test_a_video_of_fixed_length_ends_early_when_told_to_finish",
    ],
)
async def test_one_that_forgets_commands_is_found(rule: str, tmp_path: Path) -> None:
    settings = BackendSettings(data_dir=tmp_path)

    assert await keeps(Steered(settings), rule)
    assert not await keeps(Forgetful(BackendSettings(data_dir=tmp_path / "other")), rule)


@pytest.mark.parametrize("exact", [True, False])
async def test_only_a_token_that_says_so_may_go_on_with_other_frames(
    tmp_path: Path, exact: bool
) -> None:
    settings = BackendSettings(data_dir=tmp_path)

    def make() -> Rounded:
        made = Rounded(settings)
        made.exact = exact
        return made

    kept = await keeps(make(), "test_work_resumes_from_its_token_in_another_process", make)

    assert kept is not exact
