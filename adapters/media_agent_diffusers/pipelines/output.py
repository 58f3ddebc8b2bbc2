"""What a pipeline made: frames, and what is heard with them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from media_agent.video.audio import Audio, count_samples

if TYPE_CHECKING:
    from media_agent.video.codec import Frames


@dataclass(frozen=True, slots=True)
class Output:
    """Frames (uint8, T H W 3) and their audio; None: the model makes none."""

    frames: "Frames"
    audio: Audio | None = None

    def cut(self, start: int, count: int, *, fps: float) -> "Output":
        """Return `count` frames from frame `start` on, with exactly their audio.

        Models make audio that is a little shorter or longer than the frames; what is missing at
        its end is silence.
        """
        frames = self.frames[start : start + count]
        if self.audio is None:
            return Output(frames)
        import numpy as np

        rate = self.audio.rate
        first = count_samples(0, start, fps=fps, rate=rate)
        wanted = count_samples(start, len(frames), fps=fps, rate=rate)
        samples = self.audio.samples[:, first : first + wanted]
        missing = wanted - samples.shape[1]
        return Output(frames, Audio(np.pad(samples, ((0, 0), (0, missing))), rate))


def join_outputs(outputs: Sequence[Output]) -> Output:
    """Return one after the other; audio is there if all of them have it."""
    import numpy as np

    frames = np.concatenate([each.frames for each in outputs])
    sounds = [each.audio for each in outputs if each.audio is not None]
    if len(sounds) < len(outputs):
        return Output(frames)
    samples = np.concatenate([each.samples for each in sounds], axis=1)
    return Output(frames, Audio(samples, sounds[0].rate))
