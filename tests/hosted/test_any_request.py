"""Any request becomes a body that its provider takes, or is refused before anything is sent.

Two judges look at a body: the facts of the model in models.yaml, and the simulator of the provider,
which refuses what its documents do not have. Nothing is sent: the simulator is asked as it is.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from random import Random
from typing import Any, get_args
from urllib.parse import urlsplit

import httpx
import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from pydantic import JsonValue, SecretStr

from media_agent.backend.protocol import BackendSettings, BackendSpec
from media_agent.errors import InvalidRequestError, RequestError
from media_agent.negotiation.negotiate import negotiate
from media_agent.testing import Simulator
from media_agent.testing.simulator.find import find_simulator
from media_agent.testing.simulator.server import Call
from media_agent_hosted.base.calls import Call as Sent
from media_agent_hosted.base.calls import Submission
from media_agent_hosted.base.provider import HostedBackend
from media_agent_hosted.http.inputs import InputPart
from media_agent_hosted.models.facts import Follows, Frames, HostedModel, Seconds
from media_agent_hosted.parsing.lenient import value_at
from media_agent_hosted.plugin import provider_specs
from media_agent_schemas.facts import OptionSpec
from media_agent_schemas.media import CameraMove, InputRole, MediaInput, ResolutionTier, Size
from media_agent_schemas.plan import Policy
from media_agent_schemas.request import VideoMode, VideoRequest

SPECS = {spec.name: spec for spec in provider_specs() if not spec.needs_section}


def regions_of(annotation: Any) -> list[str]:
    """Return the words that an option can be."""
    inside = get_args(annotation)
    words = [each for each in inside if isinstance(each, str)]
    return words or [word for each in inside for word in regions_of(each)]


def make(spec: BackendSpec) -> Iterator[tuple[str, HostedBackend]]:
    """Yield the backend of a provider in each of its regions, which may have other models."""
    usual = spec.factory(BackendSettings(Path()))
    if not isinstance(usual, HostedBackend):
        return
    option = usual.options_type.model_fields.get("region")
    for region in regions_of(None if option is None else option.annotation) or [None]:
        chosen: dict[str, JsonValue] = {} if region is None else {"region": region}
        settings = BackendSettings(Path(), key=SecretStr("k" * 20), options=chosen)
        made = spec.factory(settings)
        assert isinstance(made, HostedBackend)
        yield f"{spec.name} {region or ''}".strip(), made


def is_here(backend: HostedBackend, model_id: str) -> bool:
    try:
        return backend.capabilities(model_id).model == model_id
    except InvalidRequestError:
        return False


HOSTED = dict(found for spec in SPECS.values() for found in make(spec))
KNOWN = [
    (place, model.id, mode)
    for place, backend in HOSTED.items()
    for model in backend.models.by_id.values()
    for mode in model.modes
    if is_here(backend, model.id)
]
OWN = "the-id-of-a-video-there"
VIDEOS = (InputRole.SOURCE_VIDEO, InputRole.MOTION)
KEYS = (f"job-{number}" for number in count())


@pytest.fixture(scope="module")
def simulators() -> Iterator[dict[str, Simulator]]:
    with ExitStack() as stack:
        names = {backend.name for backend in HOSTED.values()}
        yield {name: stack.enter_context(find_simulator(name, SPECS)()) for name in names}


def build(backend: HostedBackend, request: VideoRequest, model: HostedModel) -> Sent:
    """Return the submission of a planned request, whose inputs are as they would be read."""
    of_mode = model.for_mode(request.infer_mode())
    inputs = tuple(
        OWN if of_mode.inputs[each.role].own else backend.input_value(part(backend, each))
        for each in request.inputs
    )
    options = request.options.get(backend.name, {})
    return backend.build(Submission(request, model.id, of_mode, inputs, options, next(KEYS)))


def part(backend: HostedBackend, medium: MediaInput) -> InputPart:
    if backend.reads_urls:
        return InputPart(medium.role, str(medium.url))
    kind = "video/mp4" if medium.role in VIDEOS else "image/png"
    return InputPart(medium.role, "AAAA", kind)


def plan(request: VideoRequest, backend: HostedBackend, model_id: str, policy: Policy) -> Any:
    inputs = request.inputs if backend.reads_urls else tuple(map(as_bytes, request.inputs))
    asked = request.model_copy(update={"inputs": inputs})
    return negotiate(asked, backend.capabilities(model_id), policy, draw_seed=lambda: 2**31).request


def as_bytes(medium: MediaInput) -> MediaInput:
    return medium.model_copy(update={"data": b"as read before", "url": None})


def is_taken(simulator: Simulator, backend: HostedBackend, sent: Sent) -> str | None:
    """Return why a simulator does not take a submission; None: it does."""
    found = backend.connection()
    signed = found.auth(httpx.Request("POST", found.base_url))
    call = Call(
        name="",
        method=sent.method,
        path=urlsplit(found.base_url).path + sent.path,
        query=dict(sent.params or {}),
        headers={name.lower(): value for name, value in {**signed, **(sent.headers or {})}.items()},
        body=json.dumps(sent.json).encode(),
    )
    before = simulator.accepted
    answer, _ = simulator.serve(call)
    assert answer is not None
    is_new = simulator.accepted == before + 1
    return None if is_new and answer.status < 400 else answer.content().decode()


def flaws(body: JsonValue, request: VideoRequest, model: HostedModel) -> Iterator[str]:
    """Yield what in a body is not among the facts of its model, in the mode of the request."""
    inside = body.get("input") if isinstance(body, dict) else None

    def said(field: str) -> JsonValue:
        place = model.named(field)
        return value_at(body, place) if inside is None else value_at(inside, place)

    match model.length:
        case Seconds(seconds=values, unit=unit) if said("duration") not in (None, -1):  # left open
            if str(said("duration")) not in [f"{each}{unit}" for each in values]:
                yield f"duration {said('duration')}"
        case Frames(least=least, most=most) if said("num_frames") is not None:
            if not least <= int(str(said("num_frames"))) <= most:
                yield f"num_frames {said('num_frames')}"
        case Follows(most=most) if request.num_frames and request.fps:
            if request.num_frames / request.fps > most + 1:
                yield f"{request.num_frames} frames of a video to change"
    if model.tiers and said("resolution") not in (None, *(tier.value for tier in model.tiers)):
        yield f"resolution {said('resolution')}"
    ratio = str(said("aspect_ratio"))
    if ":" in ratio and ratio not in model.ratios:  # a word is for the simulator to judge
        yield f"aspect_ratio {ratio}"
    seed = said("seed")
    if isinstance(seed, int) and not 0 <= seed <= (model.max_seed or 2**63):
        yield f"seed {seed}"
    longest = model.longest_prompt or 10**6
    if len(str(said("prompt") or "")) > longest:
        yield f"a prompt of {len(str(said('prompt')))} characters"
    if not 1 <= request.n <= model.max_n:
        yield f"{request.n} videos"
    if request.camera is not None and model.camera is None:
        yield f"camera {request.camera}"
    for role, place in model.inputs.items():
        if sum(each.role is role for each in request.inputs) > place.most:
            yield f"too many {role}"


def media(role: InputRole, number: int, seconds: float = 0.0) -> MediaInput:
    at = seconds if role is InputRole.KEYFRAME else None
    kind = "mp4" if role in VIDEOS else "png"
    own_id = OWN if role is InputRole.SOURCE_VIDEO else None
    return MediaInput(role=role, url=f"https://example.com/{number}.{kind}", at=at, own_id=own_id)


def fields_of(
    random: Random, backend: HostedBackend, model: HostedModel, mode: VideoMode
) -> dict[str, Any]:
    """Return what a mode needs, with some fields of a request, which fit or do not."""
    of_mode, is_text = model.for_mode(mode), mode is VideoMode.TEXT_TO_VIDEO
    roles = [] if is_text else [*(of_mode.needed or tuple(of_mode.inputs)[:1])]
    if not is_text and random.random() < 0.5:
        more = random.choice([*of_mode.inputs])
        roles += [more] * random.randint(1, min(of_mode.inputs[more].most, 10))
    if random.random() < 0.1:
        roles.append(random.choice([*InputRole]))
    inputs = [media(role, n, random.uniform(0, 8)) for n, role in enumerate(roles)]
    length = of_mode.length
    longest = model.longest_prompt or 500
    prompts = ("a", "ünïcode 🦊", "x" * longest, "x" * (longest + 1), "🦊" * (longest // 2), None)
    twists: dict[str, Callable[[], Any]] = {
        "prompt": lambda: random.choice(prompts),
        "negative_prompt": lambda: random.choice(["blur", "y" * 3000]),
        "mode": lambda: None,
        "duration": lambda: random.choice(
            [*(length.seconds if isinstance(length, Seconds) else (2, 5)), random.uniform(0.1, 40)]
        ),
        "fps": lambda: random.choice([model.rates.default, 30, 12.5]),
        "resolution": lambda: random.choice([*ResolutionTier]),
        "aspect_ratio": lambda: random.choice([*of_mode.ratios, "16:9", "9:16", "5:7"]),
        "size": lambda: Size(width=random.choice((16, 864, 1280, 1920, 2160)), height=1080),
        "seed": lambda: random.choice([0, 7, 2**32, 2**63 - 1]),
        "audio": lambda: random.choice([True, False]),
        "n": lambda: random.choice([1, of_mode.max_n, 16]),
        "camera": lambda: random.choice([*CameraMove]),
        "options": lambda: {backend.name: options(random, model.options)},
    }
    chosen = random.sample([*twists], random.randint(0, 4))
    fields = {name: twists[name]() for name in chosen}
    return {"prompt": "a fox", "mode": mode, "inputs": tuple(inputs), **fields}


def options(random: Random, specs: tuple[OptionSpec, ...]) -> dict[str, JsonValue]:
    chosen = random.sample(specs, min(len(specs), random.randint(1, 2)))
    return {spec.name: random.choice(values_of(spec)) for spec in chosen}


def values_of(spec: OptionSpec) -> Sequence[JsonValue]:
    if spec.choices is not None:
        return spec.choices
    return {
        "boolean": [True, False],
        "integer": [-2, 0, 5, 200],
        "number": [-2.0, 0.0, 0.5, 60.0],
        "string": ["x", '{"pose": {}}', "0.1,0,0.5,1", "https://example.com/a"],
    }[spec.type]


@given(seed=st.integers(0, 2**32), known=st.sampled_from(KNOWN), policy=st.sampled_from(Policy))
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_request_becomes_a_body_that_is_taken_or_is_refused(
    seed: int, known: tuple[str, str, VideoMode], policy: Policy, simulators: dict[str, Simulator]
) -> None:
    place, model_id, mode = known
    backend = HOSTED[place]
    model = backend.models.by_id[model_id]
    fields = fields_of(Random(seed), backend, model, mode)
    note(f"{model_id}: {fields}")
    try:
        request = VideoRequest.model_validate({"model": f"{backend.name}/{model_id}", **fields})
    except ValueError:
        return
    try:
        planned = plan(request, backend, model_id, policy)
        sent = build(backend, planned, model)
    except RequestError:
        return

    assert [*flaws(sent.json, planned, model.for_mode(planned.infer_mode()))] == []
    assert is_taken(simulators[backend.name], backend, sent) is None


@pytest.mark.parametrize("place", HOSTED)
def test_every_model_takes_the_smallest_request_in_each_of_its_modes(
    place: str, simulators: dict[str, Simulator]
) -> None:
    backend = HOSTED[place]
    refused = []
    for _, model_id, mode in (each for each in KNOWN if each[0] == place):
        model = backend.models.by_id[model_id]
        sent = smallest(backend, model, mode)
        said = is_taken(simulators[backend.name], backend, sent)
        refused += [] if said is None else [f"{model_id}, {mode}: {said}"]

    assert refused == []


def test_every_listed_model_is_known_in_some_region() -> None:
    listed = {(each.name, model) for each in HOSTED.values() for model in each.models.by_id}

    assert {(HOSTED[place].name, model) for place, model, _ in KNOWN} == listed


def smallest(backend: HostedBackend, model: HostedModel, mode: VideoMode) -> Sent:
    """Return the submission of a prompt and what the mode needs, with an option if one must be."""
    of_mode = model.for_mode(mode)
    is_text = mode is VideoMode.TEXT_TO_VIDEO
    needed = () if is_text else of_mode.needed or tuple(of_mode.inputs)[:1]
    inputs = tuple(media(role, number) for number, role in enumerate(needed))
    free = [spec.name for spec in model.options if spec.type == "string" and not spec.choices]
    asked = {"prompt": "a fox", "model": f"{backend.name}/{model.id}", "mode": mode}
    for given_options in ({}, *({each: "x"} for each in free)):
        fields = {**asked, "inputs": inputs, "options": {backend.name: given_options}}
        planned = plan(VideoRequest.model_validate(fields), backend, model.id, Policy.ADJUST)
        try:
            return build(backend, planned, model)
        except InvalidRequestError as error:
            last = error
    raise last
