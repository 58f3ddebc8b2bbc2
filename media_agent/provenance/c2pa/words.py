"""What a file says of where it comes from, in words."""

from collections.abc import Iterator
from datetime import datetime

from media_agent_schemas.provenance import (
    FoundWatermark,
    GenerationAssertion,
    IngredientReport,
    ProvenanceReport,
    ProvenanceState,
    Signature,
)

_STATES = {
    ProvenanceState.TRUSTED: "Trusted: unchanged, and signed by one of the trust anchors",
    ProvenanceState.VALID: "Valid: unchanged since it was signed, by somebody who is not among the "
    "trust anchors",
    ProvenanceState.INVALID: "Invalid: changed since it was signed, or badly signed",
    ProvenanceState.NONE: "None: it has no C2PA manifest",
    ProvenanceState.UNKNOWN: "Unknown: signatures cannot be read here",
}
_WHOSE_WORD = {
    ProvenanceState.TRUSTED: "all that follows is said by the signer",
    ProvenanceState.VALID: "all that follows is said by the signer, who may be anybody",
    ProvenanceState.INVALID: "all that follows may have been written by anybody",
}


def provenance_in_words(report: ProvenanceReport) -> Iterator[tuple[str, str]]:
    """Yield each fact with its name; what a manifest says is text of somebody else."""
    yield "state", _STATES[report.state]
    if report.signer is not None or report.generator is not None:
        yield "word", _WHOSE_WORD[report.state]
    if report.ai_generated is not None:
        yield "AI", "its manifest says that AI made it" if report.ai_generated else "not said"
    if report.signer is not None:
        untrusted = ", for development only" if report.is_development else ""
        issuer = "" if report.issuer is None else f" ({report.issuer})"
        yield "signer", f"{report.signer}{issuer}{untrusted}"
    if report.signed_at is not None:
        known = "" if report.is_time_trusted else ", which is not among the trust anchors"
        yield "when", f"{_minute(report.signed_at)}, as a timestamp authority says{known}"
    elif report.claimed_at is not None:
        yield "when", f"{_minute(report.claimed_at)}, as the signer says"
    if report.generator is not None:
        yield "made with", report.generator
    if report.generation is not None:
        yield from _describe_generation(report.generation)
    for ingredient in report.ingredients:
        yield "made from", _describe_ingredient(ingredient)
    for problem in report.problems:
        yield "problem", problem
    yield from _describe_watermarks(report)


def describe_signature(signature: Signature) -> str:
    """Return whether a delivered video was signed, and by whom; else why not."""
    if not signature.signed:
        return f"no: {signature.reason}"
    kept = f", {signature.kept_manifests} manifests of others kept"
    return f"by {signature.signer}{kept if signature.kept_manifests else ''}"


def _describe_watermarks(report: ProvenanceReport) -> Iterator[tuple[str, str]]:
    for mark in report.watermarks or ():
        yield "watermark", _describe_watermark(mark)
    if not report.watermarks:
        missing = report.watermarks is None
        yield "watermark", "not looked for, as numpy is missing" if missing else "none found"


def _describe_watermark(mark: FoundWatermark) -> str:
    where = f", in frames {mark.start} to {mark.end - 1}"
    if not mark.jobs:
        return f"of an unknown job: {mark.payload}{where}"
    which = "one of the jobs" if len(mark.jobs) > 1 else "job"
    return f"{which} {', '.join(mark.jobs)}{where}"


def _describe_generation(generation: GenerationAssertion) -> Iterator[tuple[str, str]]:
    seed = "" if generation.seed is None else f", seed {generation.seed}"
    yield "model", f"{generation.backend}/{generation.model}{seed}"
    if generation.weights_sha256 is not None:
        yield "weights", f"SHA-256 {generation.weights_sha256}"
    yield "job", generation.job_id
    if generation.parent_job is not None:
        yield "continues", f"job {generation.parent_job}"
    for prompt in generation.prompts:
        yield "prompt", prompt
    for digest in () if generation.prompts else generation.prompts_sha256:
        yield "prompt", f"SHA-256 {digest}"
    if generation.adjustments:
        yield "adjusted", ", ".join(each.field for each in generation.adjustments)


def _describe_ingredient(ingredient: IngredientReport) -> str:
    title = ingredient.title or "something without a title"
    if ingredient.state is ProvenanceState.NONE:
        return f"{title}: no manifest"
    by = ingredient.signer or ingredient.generator or "somebody without a name"
    made = ", made by AI" if ingredient.ai_generated else ""
    return f"{title}: {ingredient.state.value} when it was added, signed by {by}{made}"


def _minute(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M %Z}"
