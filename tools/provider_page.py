"""Writes what is known of each hosted provider into its page in docs/reference (`make snapshots`).

Only what stands between two marks is written; the words around it are a person's. A page that is
not there yet is begun.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from media_agent.backend.protocol import BackendSettings
from media_agent_hosted.base.provider import HostedBackend
from media_agent_hosted.http.inputs import InputForm
from media_agent_hosted.models.facts import Fixed, Follows, Frames, HostedModel
from media_agent_hosted.plugin import provider_specs
from media_agent_schemas.capabilities import CancelRule
from media_agent_schemas.request import VideoMode

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "reference"
START = "<!-- from here: tools/provider_page.py -->\n"
END = "<!-- to here -->\n"
_FINDS = {
    "key": "found by our key",
    "list": "found in its list",
    "candidates": "not found, as its list proves nothing; what may be it is named",
    "none": "not found; look there before you send it again",
}
_FORMS = {
    InputForm.DATA_URI: "inside the request, up to {largest} each; or https addresses",
    InputForm.BASE64: "inside the request, up to {largest} each; or https addresses",
    InputForm.HTTPS: "https addresses only",
}
_NO_ADDRESSES = "inside the request, up to {largest} each; addresses are not fetched"
_MADE_FROM = {
    VideoMode.TEXT_TO_VIDEO: "text",
    VideoMode.IMAGE_TO_VIDEO: "an image",
    VideoMode.FIRST_LAST_FRAME: "two images",
    VideoMode.REFERENCE_TO_VIDEO: "references",
    VideoMode.VIDEO_EDIT: "a video to change",
    VideoMode.VIDEO_EXTEND: "a video",
}


def backends() -> dict[str, HostedBackend]:
    """Return the backends whose models are listed in a models.yaml, by name."""
    specs = [spec for spec in provider_specs() if not spec.needs_section]
    made = {spec.name: spec.factory(BackendSettings(data_dir=Path())) for spec in specs}
    return {name: each for name, each in made.items() if isinstance(each, HostedBackend)}


def page_of(backend: HostedBackend, page: str) -> str:
    """Return a page in which what is written from facts is current; "": one that is begun."""
    if not page:
        page = f"# The backend `{backend.name}`\n\n{START}{END}"
    before, start, rest = page.partition(START)
    _, end, after = rest.partition(END)
    if not start or not end:
        raise SystemExit(f"the page of {backend.name} lacks the marks {START!r} and {END!r}")
    return "".join((before, START, "\n".join(_facts(backend)), "\n", END, after))


def _facts(backend: HostedBackend) -> Iterator[str]:
    yield "## Settings\n"
    yield from _settings(backend)
    yield "\n## Models\n"
    yield "| id | made from | length | sizes | also takes |"
    yield "| --- | --- | --- | --- | --- |"
    yield from map(_row, backend.models.by_id.values())
    yield (
        "\nAny other id of this form works too. It gets the prompt and, when given, the seed; "
        "all else is given field by field in\n"
        "the option `input`: `--option input='{\"duration\": 5}'`. "
        "Frame rates and sizes without a field are nominal: the record\nsays what was delivered."
    )
    yield "\n## What it does\n"
    yield from _habits(backend)


def _settings(backend: HostedBackend) -> Iterator[str]:
    key = next(spec.key_variables[0] for spec in provider_specs() if spec.name == backend.name)
    yield "```toml"
    yield f"[backends.{backend.name}]"
    yield f'# key_env = "{key}"  # only for another variable; create keys at {backend.keys_at}'
    yield f'# model = "{next(iter(backend.models.by_id))}"  # when only "{backend.name}" is named'
    yield f"# base_url: {backend.address}, or that of a simulator"
    yield f"[backends.{backend.name}.options]  # all of them are optional"
    for name, field in backend.options_type.model_fields.items():
        if field.default is None:
            yield f"# {name} = ...  # {field.description}"
        else:
            yield f"{name} = {json.dumps(field.default)}  # {field.description}"
    yield "```"


def _row(model: HostedModel) -> str:
    made_from = ", ".join(_MADE_FROM[mode] for mode in model.modes)
    names = (tier.name or f"{tier.short_side} lines" for tier in model.tiers)
    tiers = ", ".join(names if model.sizes is None else map(str, model.sizes.values))
    shapes = f"{tiers}; {', '.join(model.ratios)}" if model.ratios else tiers
    more = [
        *(role.value for role in model.roles),
        *(["negative prompt"] if model.negative_prompt else []),
        *(["seed"] if model.seed else []),
        *(["camera"] if model.camera else []),
        *(["audio"] if model.audio_field else []),
        *(f"`{option.name}`" for option in model.options),
    ]
    return f"| `{model.id}` | {made_from} | {_length(model)} | {shapes} | {', '.join(more)} |"


def _length(model: HostedModel) -> str:
    others = (_length_of(model.for_mode(mode)) for mode in model.by_mode)
    return "; ".join(dict.fromkeys((_length_of(model), *others)))


def _length_of(model: HostedModel) -> str:
    match model.length:
        case Fixed(frames=frames):
            return f"{frames / model.rates.default:.3g} s"
        case Follows(most=most):
            return f"that of the source, up to {most:g} s"
        case Frames(least=least, most=most) as length:
            rule = f", {length.multiple}k+{length.offset}" if length.multiple > 1 else ""
            return f"{least} to {most} frames{rule}"
        case length:
            values = length.seconds
            is_span = values == tuple(range(values[0], values[-1] + 1)) and len(values) > 2
            return f"{values[0]} to {values[-1]} s" if is_span else f"{_listed(values)} s"


def _listed(values: tuple[int, ...]) -> str:
    return ", ".join(map(str, values))


def _size(count: int) -> str:
    """Return a number of bytes as people write it."""
    if count % 2**20 == 0:
        return f"{count >> 20} MiB"
    return f"{count / 1e6:g} MB" if count >= 1_000_000 else f"{count / 1e3:g} kB"


_STOPS = {
    CancelRule.NONE: "cannot be stopped; it continues there, and is billed",
    CancelRule.QUEUED_ONLY: "stopped, and not billed, while it waits; then it continues, billed",
    CancelRule.NOT_REFUNDED: "stopped; once it has begun it is billed all the same",
    CancelRule.FORGETS: "forgotten there, while the work continues",
    CancelRule.STOPS: "stopped at any time",
    CancelRule.UNKNOWN: "nobody knows",
}


def _habits(backend: HostedBackend) -> Iterator[str]:
    keeps, largest = backend.keeps, _size(backend.largest_input)
    hours = None if keeps is None else round(keeps.total_seconds() / 3600)
    kept = "not documented" if hours is None else f"at least {hours} h"
    yield f"* Work that is to stop: {_STOPS[backend.cancel_rule]}."
    if backend.bills_failed != "unknown":
        yield f"* Work that failed: {'billed' if backend.bills_failed else 'not billed'}."
    yield f"* Work whose reply was lost: {_finds(backend)}."
    form = _FORMS[backend.input_form] if backend.reads_urls else _NO_ADDRESSES
    yield f"* Input files: {form.format(largest=largest)}."
    if backend.uploads is not None:
        yield f"* Uploaded before the request, as the plan says: {backend.uploads}."
    yield f"* How long it keeps videos: {kept}. They are downloaded as soon as they are done."
    yield f"* Verification: `{backend.verification}`, {backend.verification.note}."


def _finds(backend: HostedBackend) -> str:
    """Say how lost work is found, and how that of models for which it is otherwise."""
    lookups = [backend.describe(each).lookup for each in backend.models.by_id]
    others = [each for each in dict.fromkeys(lookups) if each != backend.lookup]
    more = (f"; that of {lookups.count(each)} models: {_FINDS[each]}" for each in others)
    return "".join((_FINDS[backend.lookup], *more))


def main() -> None:
    """Write all pages."""
    for name, backend in backends().items():
        path = FOLDER / f"{name}.md"
        page = path.read_text(encoding="utf-8") if path.exists() else ""
        path.write_text(page_of(backend, page), encoding="utf-8")


if __name__ == "__main__":
    main()
