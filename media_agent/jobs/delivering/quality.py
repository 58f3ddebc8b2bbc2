"""Measures the videos of a job before they are delivered, and does what the settings say."""

import asyncio
from dataclasses import replace
from pathlib import Path

from media_agent.errors import BelowQualityError
from media_agent.jobs.context import JobContext
from media_agent.jobs.delivering.checks import ResultChecks
from media_agent.jobs.delivering.remake import Remaker
from media_agent.provenance.quality.of_jobs import measure_quality
from media_agent.provenance.quality.words import finding_in_words
from media_agent_schemas.jobs import VideoJob
from media_agent_schemas.media import Artifact
from media_agent_schemas.quality import QualityReport


class QualityChecks:
    """The measurements of the videos of one job."""

    def __init__(
        self, job: VideoJob, context: JobContext, checks: ResultChecks, remaker: Remaker | None
    ) -> None:
        """Begin; `checks` keeps aside what fails, `remaker` makes parts again where it can."""
        self._job = job
        self._context = context
        self._checks = checks
        self._rules = context.quality
        if self._rules.actions and context.store.jobs.terms(job.id).part_of is not None:
            self._rules = replace(self._rules, actions={})  # the whole decides
        self._remaker = remaker
        self.reports: dict[int, QualityReport] = {}
        """By the number of each video, counted from 1."""
        self.warnings: list[str] = []

    async def pass_on(self, video: Artifact, number: int) -> Artifact | None:
        """Return the video to deliver, maybe made again; None: it is too bad, and kept aside."""
        if self._rules.mode == "off":
            return video
        report = await self._measure(self._job, video)
        if report is None:
            return video
        if any(self._rules.action_of(each) == "remake" for each in report.findings):
            video, report = await self._make_again(video, report)
        self.reports[number] = report
        where = f"video {number}, " if self._job.plan.request.n > 1 else ""
        told = [each for each in report.findings if self._rules.action_of(each) != "record"]
        self.warnings += [f"{where}{finding_in_words(each)}" for each in told]
        bad = [each for each in told if self._rules.action_of(each) == "fail"]
        if not bad or video.path is None:
            return video
        said = "; ".join(finding_in_words(each) for each in bad)
        error = BelowQualityError(f"{where}the video is worse than the settings allow: {said}")
        await self._checks.keep_aside(Path(video.path), number, error)
        return None

    async def _make_again(
        self, video: Artifact, report: QualityReport
    ) -> tuple[Artifact, QualityReport]:
        if self._remaker is None:
            self.warnings.append("no part of it was made again: nothing here can do that")
            return video, report
        made = await self._remaker.improve(video, report, self._measure, self._rules)
        self.warnings += self._remaker.warnings
        return made

    async def _measure(self, job: VideoJob, video: Artifact) -> QualityReport | None:
        events = self._context.store.events.read(job.id)
        rules = self._rules
        measured = await asyncio.to_thread(measure_quality, job, video, events, rules)
        if measured is None:
            return None
        self.warnings += [each for each in measured.warnings if each not in self.warnings]
        return measured.report
