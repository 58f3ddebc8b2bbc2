"""What this machine has for making videos, what is missing, and the command that mends it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import JsonValue

from media_agent.backend.cores import usable_cores
from media_agent.config.faults import read_sound
from media_agent.config.settings import Settings, look_at_sources
from media_agent.config.sources import Sources
from media_agent.errors import ConfigurationError
from media_agent.provenance.c2pa.ready import Readiness, examine_signing
from media_agent.registry.registry import Registry
from media_agent.routing.listing import Listed, Listing, list_all
from media_agent.setup.check import Finding, check
from media_agent.setup.machine import find_gpus
from media_agent.storage.files import free_bytes

ENCODERS = ("libx264", "aac")
"""What every video is encoded with."""
LEAST_FREE = 10**9  # bytes on a disk; below it even a short video may not fit
_YEARS = range(2025, 2100)  # the clock of a machine without a battery starts at 1970
_MEMORY_LIMIT = Path("/sys/fs/cgroup/memory.max")
_DRAWN = "sandbox"  # it shows the prompt as text


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a backend can make videos now."""

    backend: str
    ready: tuple[str, ...] = ()
    """Its models that can."""
    missing: str | None = None
    mend: str | None = None
    """The command or the setting that helps."""

    def as_json(self) -> dict[str, JsonValue]:
        """Return it for programs."""
        return {
            "backend": self.backend,
            "ready": list(self.ready),
            "missing": self.missing,
            "mend": self.mend,
        }


@dataclass(frozen=True, slots=True)
class Checkup:
    """All that was found; of keys only where they are from."""

    cores: int
    memory_bytes: int
    free_memory_bytes: int
    gpus: tuple[str, ...]
    disks: dict[str, int | None]
    """What is free in the folders that are written to; None: nobody can say."""
    encoders: dict[str, bool]
    clock: datetime
    keys: dict[str, str]
    signing: Readiness
    must_sign: bool
    """Whether the settings want no video that is not signed."""
    findings: tuple[Finding, ...]
    verdicts: tuple[Verdict, ...]

    @property
    def makers(self) -> tuple[str, ...]:
        """The backends that can make a video of something; the sandbox draws its prompt only."""
        return tuple(
            verdict.backend
            for verdict in self.verdicts
            if verdict.ready and verdict.backend != _DRAWN
        )

    @property
    def can_make_video(self) -> bool:
        """Whether a backend is ready, and its videos can be encoded, and signed if they must be."""
        may_be_delivered = self.signing.works or not self.must_sign
        return bool(self.makers) and all(self.encoders.values()) and may_be_delivered

    @property
    def is_clock_plausible(self) -> bool:
        """Whether the year can be; no server is asked."""
        return self.clock.year in _YEARS

    def as_json(self) -> dict[str, JsonValue]:
        """Return it for programs."""
        return {
            "can_make_video": self.can_make_video,
            "cores": self.cores,
            "memory_bytes": self.memory_bytes,
            "free_memory_bytes": self.free_memory_bytes,
            "gpus": list(self.gpus),
            "disks": [{"folder": name, "free_bytes": free} for name, free in self.disks.items()],
            "encoders": dict(self.encoders),
            "clock": {
                "time": self.clock.isoformat(timespec="seconds"),
                "plausible": self.is_clock_plausible,
                "compared": False,
            },
            "keys": dict(self.keys),
            "signing": {"works": self.signing.works, "said": self.signing.said},
            "settings": [finding.as_json() for finding in self.findings],
            "backends": [verdict.as_json() for verdict in self.verdicts],
        }


def examine(*, gpus: Sequence[str] | None = None, memory_limit: Path = _MEMORY_LIMIT) -> Checkup:
    """Look at this machine and its settings; nothing is loaded, no service is asked.

    `gpus` are those of this machine, if they are known.
    """
    settings = _read_settings()
    registry = Registry(kinds=settings.kinds())
    total, free = _measure_memory(memory_limit)
    folders = dict.fromkeys((settings.data_dir, settings.work_folder, Path.cwd()))
    return Checkup(
        cores=usable_cores(),
        memory_bytes=total,
        free_memory_bytes=free,
        gpus=find_gpus() if gpus is None else tuple(gpus),
        disks={str(folder): free_bytes(folder) for folder in folders},
        encoders={name: _can_encode(name) for name in ENCODERS},
        clock=datetime.now(UTC).astimezone(),
        keys=dict(_find_keys(settings, registry)),
        signing=examine_signing(settings.signing()),
        must_sign=settings.provenance.sign == "require",
        findings=check().findings,
        verdicts=tuple(_judge(list_all(registry, settings), registry)),
    )


def _read_settings() -> Settings:
    """Return what can be read of the settings; what cannot is among the findings."""
    try:
        sources = look_at_sources()
    except ConfigurationError:
        sources = Sources()
    return read_sound(sources)[0]


def _measure_memory(limit: Path) -> tuple[int, int]:
    """Return the memory of this machine and what is free, or what a container is granted of it."""
    import psutil

    memory = psutil.virtual_memory()
    try:
        granted = int(limit.read_text("ascii"))
    except (OSError, ValueError):  # "max" is no number
        granted = memory.total
    return min(memory.total, granted), min(memory.available, granted)


def _can_encode(name: str) -> bool:
    from av.codec import Codec
    from av.codec.codec import UnknownCodecError

    try:
        Codec(name, "w")
    except UnknownCodecError:
        return False
    return True


def _find_keys(settings: Settings, registry: Registry) -> Iterator[tuple[str, str]]:
    for name in registry.names():
        try:
            found = settings.find_key(name, registry.spec(name))
        except ConfigurationError:  # among the findings
            continue
        if found.key is not None and found.source is not None:
            yield name, found.source


def _judge(listing: Listing, registry: Registry) -> Iterator[Verdict]:
    """Yield a verdict on every backend, and on every plugin that is left out."""
    by_backend: dict[str, list[Listed]] = {name: [] for name in registry.names()}
    for listed in listing.models:
        by_backend[listed.capabilities.backend].append(listed)
    for name, models in by_backend.items():
        ready = tuple(each.name for each in models if each.capabilities.missing is None)
        yield Verdict(name, ready) if ready else _find_lack(name, models, listing)
    for name, error in registry.list_broken().items():
        yield Verdict(name, missing=error.message, mend=error.hint)


def _find_lack(name: str, models: Sequence[Listed], listing: Listing) -> Verdict:
    """Return why a backend has no model that is ready."""
    lacks = next((each.capabilities.missing for each in models), None)
    if lacks is not None:
        what, _, how = lacks.partition(": ")
        return Verdict(name, missing=what, mend=how or None)
    error = listing.errors.get(name)
    return Verdict(
        name,
        missing="a model" if error is None else error.message,
        mend=None if error is None else error.hint,
    )
