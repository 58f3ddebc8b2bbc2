"""Signs the videos of a job before they are put in their places, as the settings say.

A signed copy is named by what was signed and how: done again after a crash, it is the same file, so
that a video which was already put in its place is known to be ours. If the settings have changed
since, it is signed anew, as they say now.
"""

import hashlib
import logging
from collections.abc import Callable, Iterator
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from media_agent.errors import MediaAgentError, StorageError, in_full
from media_agent.jobs.context import JobContext
from media_agent.jobs.continuing.source_join import FETCHED_SOURCE
from media_agent.ledger.state import JobOptions
from media_agent.provenance.c2pa.credentials import Credentials, is_installed
from media_agent.provenance.c2pa.ready import foretell, prepare
from media_agent.storage.files import make_folder, sha256_of
from media_agent_schemas.capabilities import Capabilities
from media_agent_schemas.events import TerminalEvent
from media_agent_schemas.jobs import JobStatus, VideoJob
from media_agent_schemas.media import Artifact
from media_agent_schemas.provenance import GenerationAssertion, Signature

if TYPE_CHECKING:
    from media_agent.provenance.c2pa.manifest import Ingredient
    from media_agent.provenance.c2pa.sign import Signed

_LOGGER = logging.getLogger(__name__)


class VideoSigner:
    """Signs the videos of one job; under `try`, one that cannot be signed stays as it is."""

    def __init__(
        self, job: VideoJob, end: TerminalEvent, capabilities: Capabilities, context: JobContext
    ) -> None:
        self.warnings: list[str] = []
        """What there is to say about videos that are not signed, or not as asked."""
        self._job = job
        self._end = end
        self._capabilities = capabilities
        self._context = context
        self._signing = context.signing

    def sign(
        self, source: Path, video: Artifact, *, delivered: Path | None
    ) -> tuple[Path, Signature]:
        """Return the signed copy of a file, or the file itself, and which of them it is.

        `video` says how the file came to be.
        `delivered` is the file as its backend delivered it, before anything was done to it.

        Raises:
            MediaAgentError: it must be signed, and cannot be.
        """
        if not self._signing.is_on:
            return source, Signature(signed=False, reason="provenance.sign is off")
        delivered = source if delivered is None else delivered
        try:
            credentials = prepare(self._signing)
            return self._sign(source, delivered, video, credentials)
        except MediaAgentError as error:
            if self._signing.policy == "require":
                said = f"the video cannot be signed, and is not delivered without: {error.message}"
                hint = f"{error.hint}; " if error.hint else ""
                raise StorageError(said, hint=f"{hint}the video is in {delivered}") from error
            _LOGGER.debug("a video of job %s was not signed", self._job.id, exc_info=True)
            reason = in_full(error)
            is_said = not is_installed() or foretell(reason) in self._job.warnings
            if not is_said:  # by `doctor`, or before the work began
                self.warnings.append(f"the video is unsigned, because {reason}")
            return source, Signature(signed=False, reason=reason)

    def _sign(
        self, source: Path, delivered: Path, video: Artifact, credentials: Credentials
    ) -> tuple[Path, Signature]:
        from media_agent.provenance.c2pa.sign import read_signed

        folder = self._context.work_folder / self._job.id
        make_folder(folder)
        target = folder / f"signed-{self._digest(source, credentials)}.mp4"
        signed = read_signed(target) if target.exists() else None
        if signed is None:
            write = partial(self._write, source, target, delivered, video, credentials)
            signed = self._with_timestamp(write) or write()
        return target, Signature(
            signed=True,
            kind=credentials.kind,
            signer=credentials.name,
            expires_at=credentials.expires_at,
            timestamped=signed.timestamped,
            ingredients=signed.ingredients,
            kept_manifests=signed.kept_manifests,
        )

    def _digest(self, source: Path, credentials: Credentials) -> str:
        """Return what tells apart signed copies: of what, by whom, with the prompt or without."""
        facts = (sha256_of(source), credentials.chain.hex(), self._signing.records_prompts)
        return hashlib.sha256(repr(facts).encode()).hexdigest()

    def _with_timestamp(self, write: "Callable[..., Signed]") -> "Signed | None":
        """Sign with a timestamp; None: there is to be none, or nobody gave one (in 30 s)."""
        url = self._signing.timestamp_url
        if url is None:
            return None
        try:
            return write(timestamp_url=url)
        except MediaAgentError as error:
            self.warnings.append(f"the video is signed without a timestamp: {error.message}")
            return None

    def _write(
        self,
        source: Path,
        target: Path,
        delivered: Path,
        video: Artifact,
        credentials: Credentials,
        *,
        timestamp_url: str | None = None,
    ) -> "Signed":
        from media_agent.provenance.c2pa.manifest import build_manifest
        from media_agent.provenance.c2pa.sign import sign_file

        ingredients = self._list_ingredients(delivered, is_joined=video.joined is not None)
        is_watermarked = video.marking is not None and video.marking.watermark is not None
        manifest = build_manifest(
            self._assertion,
            ingredients,
            self._context.now(),
            is_watermarked=is_watermarked,
        )
        return sign_file(
            source, target, manifest, ingredients, credentials, timestamp_url=timestamp_url
        )

    @cached_property
    def _assertion(self) -> GenerationAssertion:
        from media_agent.provenance.c2pa.manifest import build_assertion

        return build_assertion(
            self._job,
            self._end,
            self._capabilities,
            self._terms.inputs,
            with_prompts=self._signing.records_prompts,
        )

    def _list_ingredients(self, delivered: Path, *, is_joined: bool) -> list["Ingredient"]:
        from media_agent.provenance.c2pa.ingredients import list_ingredients

        fetched = self._context.work_folder / self._job.id / FETCHED_SOURCE
        return list(
            list_ingredients(
                self._job,
                delivered,
                digests=self._terms.inputs,
                segments=list(self._find_segments()),
                joined_source=fetched if fetched.exists() else None,
                is_joined=is_joined,
                is_segment=self._terms.part_of is not None,
            )
        )

    def _find_segments(self) -> Iterator[Path]:
        """Yield the videos of the segments that were made, each a job of its own."""
        jobs = self._context.store.jobs
        if not self._job.plan.segments:  # parts of it are attempts to make it better
            return
        for segment in map(jobs.get, jobs.segments_of(self._job.id)):
            path = segment.artifacts[0].path if segment.artifacts else None
            if segment.status is JobStatus.COMPLETED and path is not None and Path(path).exists():
                yield Path(path)

    @cached_property
    def _terms(self) -> JobOptions:
        return self._context.store.jobs.terms(self._job.id)
