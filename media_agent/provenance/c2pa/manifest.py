"""What a manifest says of a generated video; pure.

A manifest begins with one action: the video was created, or an existing one was opened. It was
opened where it has a parent: the file of a provider that was signed already, or the source that it
continues. What is said of the words of a prompt is their digest, unless the settings ask for them.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import JsonValue

from media_agent.distribution import own_version
from media_agent.ingest.digests import find_digest
from media_agent_schemas.capabilities import Capabilities
from media_agent_schemas.events import TerminalEvent
from media_agent_schemas.jobs import VideoJob
from media_agent_schemas.media import MediaInput
from media_agent_schemas.plan import Adjustment
from media_agent_schemas.policies import AMENDED_BY
from media_agent_schemas.provenance import GenerationAssertion, SignedAdjustment

LABEL = "org.media-agent.generation"
"""The label of our own assertion."""
GENERATOR = "media-agent"
_SOURCES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
GENERATED = f"{_SOURCES}trainedAlgorithmicMedia"
"""Made by a model."""
COMPOSITE = f"{_SOURCES}compositeWithTrainedAlgorithmicMedia"
"""Made by a model in part."""
_WATERMARKED = "c2pa.watermarked.unbound"  # it finds the job, not the manifest
_LARGEST_NUMBER = 2**63 - 1  # of what c2pa can write
_TEXTS = ("prompt", "negative_prompt", "text", "words")
_PLAIN = ("size", "resolution", "aspect_ratio", "camera", "quality")


@dataclass(frozen=True, slots=True)
class Ingredient:
    """Something a video was made from; its bytes are in a file, or here, or elsewhere."""

    title: str
    relationship: Literal["parentOf", "componentOf", "inputTo"]
    content: Path | bytes | None
    is_source: bool = False
    """Whether its frames are in front of the video."""


def build_assertion(
    job: VideoJob,
    end: TerminalEvent,
    capabilities: Capabilities,
    inputs: Mapping[str, str],
    *,
    with_prompts: bool,
) -> GenerationAssertion:
    """Say how a video was generated; `inputs` are the digests of the files that went in."""
    sent, origin = job.plan.request, job.plan.origin
    prompts = [shot.prompt or "" for shot in job.request.storyboard()]
    return GenerationAssertion(
        job_id=job.id,
        backend=job.plan.backend,
        kind=capabilities.kind,
        model=end.model or job.plan.model,
        weights_sha256=end.weights_sha256 or capabilities.weights_sha256,
        seed=_writable(sent.seed if end.seed is None else end.seed),
        adjustments=tuple(map(_without_words, job.plan.adjustments)),
        prompts_sha256=tuple(hashlib.sha256(each.encode()).hexdigest() for each in prompts),
        prompts=tuple(prompts) if with_prompts else (),
        inputs_sha256=tuple(find_digest(medium, inputs) for medium in sent.inputs),
        parent_job=None if origin is None else origin.job_id,
        software=own_version(),
        created_at=job.created_at,
    )


def build_manifest(
    assertion: GenerationAssertion,
    ingredients: Sequence[Ingredient],
    now: datetime,
    *,
    is_watermarked: bool = False,
) -> dict[str, Any]:
    """Return the definition of a manifest as c2pa reads it."""
    actions = list(_list_actions(assertion, ingredients, now))
    if is_watermarked:
        actions.append({"action": _WATERMARKED})
    content = assertion.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    return {
        "claim_generator_info": [{"name": GENERATOR, "version": assertion.software or "unknown"}],
        "format": "video/mp4",
        "assertions": [
            {
                "label": "c2pa.actions.v2",
                "data": {"actions": actions},
            },
            {"label": LABEL, "data": {"version": assertion.version, **content}},
        ],
    }


def name_ingredient(number: int) -> str:
    """Return what the actions call the ingredient of this number."""
    return f"ingredient-{number}"


def _list_actions(
    assertion: GenerationAssertion, ingredients: Sequence[Ingredient], now: datetime
) -> Iterable[dict[str, JsonValue]]:
    made: dict[str, JsonValue] = {
        "softwareAgent": {"name": f"{assertion.backend}/{assertion.model}"},
        "when": now.isoformat(timespec="seconds"),
    }
    numbered = list(enumerate(ingredients))
    inputs = [number for number, each in numbered if each.relationship == "inputTo"]
    parent = next((each for each in numbered if each[1].relationship == "parentOf"), None)
    if parent is None:
        created = {"action": "c2pa.created", "digitalSourceType": GENERATED, **made}
        yield _of(created, inputs)
    elif parent[1].is_source:
        yield _of({"action": "c2pa.opened"}, [parent[0]])
        edited = {"action": "c2pa.edited", "digitalSourceType": COMPOSITE, **made}
        yield _of({**edited, "description": "continued by generated frames"}, inputs)
    else:
        opened = {"action": "c2pa.opened", "digitalSourceType": GENERATED, **made}
        yield _of(opened, [parent[0]])
    for number, each in numbered:
        if each.relationship == "componentOf":
            yield _of({"action": "c2pa.placed"}, [number])


def _of(action: dict[str, JsonValue], numbers: list[int]) -> dict[str, JsonValue]:
    """Return an action with the ingredients that it is about."""
    if not numbers:
        return action
    return {**action, "parameters": {"ingredientIds": [*map(name_ingredient, numbers)]}}


def name_input(number: int, medium: MediaInput) -> str:
    """Return what an input is called: by its role, since the names of files are private."""
    return f"input {number}: {medium.role.value.replace('_', ' ')}"


def _without_words(adjustment: Adjustment) -> SignedAdjustment:
    field, name = adjustment.field, adjustment.field.rpartition(".")[2]
    if field.startswith("options."):  # what follows may be any words of the request
        return SignedAdjustment(field="options", reason=adjustment.reason)
    if name in _TEXTS:  # the reason may quote them
        return SignedAdjustment(field=field)
    return SignedAdjustment(
        field=field,
        asked=_told(field, adjustment.asked),
        used=_told(field, adjustment.used),
        reason=_without_words_of_policy(adjustment.reason),
    )


def _without_words_of_policy(reason: str) -> str:
    """Return a reason; of that of a policy, which may quote anything, only whose it is."""
    return reason.partition(":")[0] if reason.startswith(AMENDED_BY) else reason


def _told(field: str, value: JsonValue) -> JsonValue:
    if isinstance(value, int | float) or (field in _PLAIN and isinstance(value, str)):
        return _writable(value) if isinstance(value, int) else value
    return None


def _writable(number: int | None) -> int | None:
    """Return a number; None: it is too large for a manifest, as only a broken backend says it."""
    return None if number is None or abs(number) > _LARGEST_NUMBER else number
