"""The kit finds backends of videos of fixed length that take commands and forget them."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from media_agent.backend.local import Chunk, GenerationContext, LocalBackend, Steering
from media_agent.backend.protocol import BackendSettings
from media_agent.testing.conformance import BackendConformance
from media_agent_schemas.capabilities import Capabilities, Control, Estimate
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


class Kit(BackendConformance):
    __test__ = False


async def keeps(made: LocalBackend, rule: str) -> bool:
    kit = Kit()

    def request(**fields: object) -> VideoRequest:
        asked = {"prompt": "gray", "duration": 1.0, "fps": 8.0, "size": Size(width=32, height=32)}
        whole = VideoRequest.model_validate(asked | fields)
        frames = round((whole.seconds() or 0) * 8)
        return whole.model_copy(update={"duration": None, "num_frames": frames, "seed": 0})

    try:
        await getattr(kit, rule)(made, made.capabilities(), request)
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
