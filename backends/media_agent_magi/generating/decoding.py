"""Decodes the chunks of a video in order, also where some of them are wanted by nobody."""

from torch import Tensor

from media_agent_magi.generating.models import Decoder, Models


class VideoDecoder:
    """Goes on with one decoder, and opens another one behind chunks that were left out."""

    def __init__(self, models: Models, decoder: Decoder, at: int) -> None:
        """Begin.

        Args:
            models: They open decoders.
            decoder: Decodes the first chunk.
            at: How many latent frames come before that chunk.
        """
        self._models, self._decoder, self._at = models, decoder, at

    def decode(self, latents: Tensor, at: int, before: Tensor | None) -> Tensor:
        """Return the video of latents; see `Decoder.decode`.

        Args:
            latents: Those of a chunk.
            at: How many latent frames come before them.
            before: The latest of these, as many as a decoder has to have seen; None: none.
        """
        if at != self._at:
            seen = 0 if before is None else before.shape[2]
            self._decoder = self._models.open_decoder(before, start=at - seen)
        self._at = at + latents.shape[2]
        return self._decoder.decode(latents)
