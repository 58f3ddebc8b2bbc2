"""A quality report in words: what was found with its time, and all that is fine in one line."""

from collections.abc import Iterator

from media_agent_schemas.quality import Finding, FindingKind, QualityReport

_FINE = {
    FindingKind.BLACK: "no black images",
    FindingKind.BLANK: "no empty images",
    FindingKind.FROZEN: "it never stands still",
    FindingKind.REPEATED: "no repeated frames",
    FindingKind.CUT: "no jumps",
    FindingKind.FLICKER: "no flicker",
    FindingKind.COLOUR_DRIFT: "no drift of colour",
    FindingKind.SHARPNESS_DRIFT: "no drift of sharpness",
    FindingKind.CONTRAST_DRIFT: "no drift of contrast",
    FindingKind.MOTION_DRIFT: "no drift of motion",
}
_FINE_SOUND = {FindingKind.SILENT: "it can be heard", FindingKind.CLIPPED: "it is not clipped"}
_DRIFTS = frozenset(kind for kind in FindingKind if kind.endswith("_drift"))


def finding_in_words(finding: Finding) -> str:
    """Return when it is, and what."""
    span = f"{finding.start:.2f} s"
    if finding.end > finding.start:
        span = f"{finding.start:.2f} to {finding.end:.2f} s"
    return f"{span}: {finding.message}"


def report_in_words(report: QualityReport) -> Iterator[tuple[str, str]]:
    """Yield what each line is about, and the line."""
    yield "video", _describe_video(report)
    if report.loudness is not None:
        whole = report.loudness.integrated_lufs
        loud = "too short or too quiet to measure" if whole is None else f"{whole:.1f} LUFS"
        yield "sound", f"{loud}, its peak at {report.loudness.peak_dbfs:.1f} dB of full scale"
    for finding in report.findings:
        yield finding.kind.replace("_", " "), finding_in_words(finding)
    fine = ", ".join(_list_fine(report))
    if fine:
        yield "fine", fine
    yield "measured", _describe_numbers(report)
    if report.boundaries is not None:
        seams = report.boundaries
        yield (
            "seams",
            f"{seams.count}, score {seams.score:.2f}; most visible at "
            f"{seams.worst_seconds:.2f} s: {seams.worst_score:.2f} (1 is no more than elsewhere)",
        )


def _describe_video(report: QualityReport) -> str:
    video = report.video
    sound = "with sound" if video.has_audio else "no sound"
    return (
        f"{video.width}x{video.height}, {video.fps:.6g} fps, {video.frames} frames, "
        f"{video.duration:.2f} s, {video.codec}, "
        f"{report.bits_per_second / 1000:.0f} kbit/s, {sound}"
    )


def _list_fine(report: QualityReport) -> Iterator[str]:
    found = {finding.kind for finding in report.findings}
    fine = _FINE if report.loudness is None else _FINE | _FINE_SOUND
    for kind, words in fine.items():
        if kind not in found and (report.drift is not None or kind not in _DRIFTS):
            yield words


def _describe_numbers(report: QualityReport) -> str:
    facts = f"brightness {report.brightness:.0f} of 255, motion {report.motion:.2f}"
    drift = report.drift
    if drift is None:
        return f"{facts}; too short to tell a drift"
    by = "" if drift.embedding is None else f" (by {drift.embedding})"
    subject = (
        "" if drift.subject is None else f", likeness of what is shown {drift.subject:.2f}{by}"
    )
    return (
        f"{facts}; from start to end: colour moved {drift.colour:.1f} levels, "
        f"sharpness x{drift.sharpness:.2f}, contrast x{drift.contrast:.2f}, "
        f"motion x{drift.motion:.2f}{subject}"
    )
