"""What a run takes from outside, so that tests need not wait, and can end it anywhere."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from media_agent.backend.protocol import VideoBackend
from media_agent.ledger.ledger import Ledger
from media_agent.policy.asking import Policies
from media_agent.provenance.c2pa.signing import Signing
from media_agent.provenance.quality.rules import QualityRules
from media_agent.storage.shared_files import SharedFiles
from media_agent_schemas.plan import Plan

_LOGGER = logging.getLogger(__name__)

OpenBackend = Callable[[Plan], Awaitable[VideoBackend]]


@dataclass(frozen=True, slots=True)
class JobContext:
    """The ledger, the clock, the folders and the backends that a run works with."""

    store: Ledger
    now: Callable[[], datetime]
    sleep: Callable[[float], Awaitable[None]]
    work_folder: Path
    open_backend: OpenBackend
    base_url: Callable[[str], str | None] = lambda backend: None
    """Where a backend is, if the settings say it: an inner address may name others."""
    without_keys: Callable[[str], str] = lambda text: text
    """Takes the keys of the settings out of a text that is kept or told."""
    policies: Policies = field(default_factory=lambda: Policies(dict, dict))
    """Asked before each submission, and before each video is delivered."""
    checkpoint: Callable[[str], None] = lambda step: None
    """Called after each step of a job is kept: plan, intent, submit, ref, observe, collect, ..."""
    max_cost_usd_per_day: float | None = None
    keep_states: timedelta | None = None
    """How long the states of a completed job are kept; None: for ever."""
    quality: QualityRules = field(default_factory=QualityRules)
    """Whether a finished video is decoded for the report in its record, and what follows."""
    signing: Signing = field(default_factory=Signing)
    """How videos are signed."""
    files: SharedFiles | None = None
    """Where other machines find what was made here; None: there are none."""

    def pass_checkpoint(self, step: str) -> None:
        """Call the checkpoint of a step; what breaks there is no word about the work."""
        try:
            self.checkpoint(step)
        except Exception:  # whoever looks on decides nothing
            _LOGGER.warning("the checkpoint after %s broke", step, exc_info=True)
