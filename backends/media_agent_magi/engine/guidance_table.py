"""How strongly history and text pull. No torch here."""

from __future__ import annotations

from dataclasses import dataclass

from media_agent_magi.engine.config import SamplerConfig

BORDER_MARGIN = 1e-7


@dataclass(frozen=True, slots=True)
class GuidanceTable:
    """How strongly history and text pull, by intervals of t."""

    t_range: tuple[float, ...]
    history_scales: tuple[float, ...]
    text_scales: tuple[float, ...]

    @classmethod
    def from_config(cls, config: SamplerConfig) -> GuidanceTable:
        """Return the table of the config, the same for every chunk."""
        return cls(config.cfg_t_range, config.prev_chunk_scales, config.text_scales)

    def at(self, t: float) -> tuple[float, float]:
        """History and text scale for timestep `t`.

        The last interval whose left end lies below t counts; a t below all of them falls to the
        last interval, as in the reference.
        """
        beyond = (i for i, left in enumerate(self.t_range) if t <= left - BORDER_MARGIN)
        index = next(beyond, len(self.t_range)) - 1
        return self.history_scales[index], self.text_scales[index]
