"""How the latents of a family lie in time and space. No torch here."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Geometry:
    """Latent frames against frames, latents against pixels.

    Attributes:
        fps: Frames per second that the family makes.
        chunk_width: Latent frames of a chunk.
        latent_channels: Numbers at each place.
        frames_each: Frames that a latent frame holds.
        frames_first: Frames that the first latent frame of a video holds.
        pixels: Rows and columns of pixels that a latent stands for.
    """

    fps: int
    chunk_width: int
    latent_channels: int
    frames_each: int = 4
    frames_first: int = 4
    pixels: int = 8

    @property
    def chunk_frames(self) -> int:
        """Frames of a chunk that is not the first."""
        return self.chunk_width * self.frames_each

    def frames(self, latents: int, *, before: int = 0) -> int:
        """Count the frames of so many latent frames that come after `before` others."""
        return self._until(before + latents) - self._until(before)

    def latents(self, frames: int, *, before: int = 0) -> int:
        """Count the latent frames that hold so many frames, after `before` other latent frames."""
        first = self.frames_first if before == 0 else self.frames_each
        if frames <= 0:
            return 0
        return 1 + -(-max(0, frames - first) // self.frames_each)

    def start(self, chunk: int) -> int:
        """Return the first frame of a chunk, counted from the start of the video."""
        return self._until(chunk * self.chunk_width)

    def chunks(self, frames: int) -> int:
        """Count the chunks that hold so many frames."""
        return -(-self.latents(frames) // self.chunk_width)

    def missing(self, frames: int) -> int:
        """Count the frames that a video lacks to fill whole chunks."""
        return self.start(self.chunks(frames)) - frames

    def shape(self, rows: int, columns: int) -> tuple[int, int, int, int]:
        """Return (channels, frames, rows, columns) of the latents of a chunk of so many pixels."""
        return (
            self.latent_channels,
            self.chunk_width,
            rows // self.pixels,
            columns // self.pixels,
        )

    def _until(self, latents: int) -> int:
        return 0 if latents == 0 else self.frames_first + (latents - 1) * self.frames_each
