"""What is sent equals what the vendor's SDK sends, as it was recorded by `make wire`."""

import json
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from pydantic import SecretStr

from benchmarks.wire.calls import Writer, write_files
from benchmarks.wire.intents import KEY, KINDS, Given, load, names
from media_agent.backend.polled import PolledBackend
from media_agent.backend.protocol import BackendSettings
from media_agent.negotiation.negotiate import negotiate
from media_agent.testing import Simulator, events_of
from media_agent.testing.simulator.find import find_simulator
from media_agent_hosted.plugin import provider_specs
from media_agent_schemas.facts import VerificationLevel
from media_agent_schemas.plan import Policy
from media_agent_schemas.request import VideoRequest
from tests.hosted.provider_kit import no_sleep
from tests.hosted.wire.compare import Difference, differences

pytestmark = pytest.mark.anyio

HERE = Path(__file__).parent
RULES = yaml.safe_load((HERE / "differences.yaml").read_text("utf-8"))
SPECS = {spec.name: spec for spec in provider_specs()}
DRAWN_SEED = 4


def recording(name: str) -> Any:
    return json.loads((HERE / "recordings" / f"{name}.json").read_text("utf-8"))


def make_backend(said: Mapping[str, Any], simulator: Simulator, folder: Path) -> PolledBackend:
    """Return the backend, with the simulator in place of the provider."""
    spec = SPECS[said["provider"]]
    address = getattr(spec.factory(BackendSettings(folder)), "address", "")
    settings = BackendSettings(
        folder,
        base_url=simulator.url + urlsplit(address).path,
        key=SecretStr(KEY),
        options=said["options"],
    )
    made = type(spec.factory(settings))(settings, sleep=no_sleep)  # type: ignore[call-arg]
    assert isinstance(made, PolledBackend)
    return made


def plan(said: Mapping[str, Any], backend: PolledBackend, given: Given) -> VideoRequest:
    """Return a request as the backend gets it; nothing in it may need an adjustment."""
    inputs = [
        {**each, "path": str(given.path(each["path"]))} if "path" in each else each
        for each in said.get("inputs", ())
    ]
    model = said.get("model")
    named = {**said, "inputs": inputs, "model": f"{backend.name}/{model}"}
    capabilities = backend.capabilities(model)
    request = VideoRequest.model_validate(named)
    return negotiate(
        request, capabilities, policy=Policy.STRICT, draw_seed=lambda: DRAWN_SEED
    ).request


async def act(
    kind: str, request: VideoRequest, backend: PolledBackend, key: str, *, waits: bool
) -> None:
    """Do what an SDK was asked to do."""
    ref = await backend.submit(request, key=key)
    match "result" if waits else kind:
        case "poll":
            await backend.status(ref)
        case "result":
            await events_of(backend, ref)
        case "cancel":
            await backend.cancel(ref)


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Given:
    return write_files(tmp_path_factory.mktemp("given"))


async def found_in(
    said: Mapping[str, Any], given: Given, folder: Path
) -> list[tuple[str, Difference]]:
    """Return all differences, each with the intent that it was found in."""
    found = []
    with find_simulator(said["provider"], SPECS)(**said["simulator"]) as simulator:
        backend = make_backend(said, simulator, folder)
        writer = Writer(simulator, given, RULES["headers_left_out"])
        for number, intent in enumerate(said["intents"]):
            simulator.requests.clear()
            request = plan(intent["request"], backend, given)
            key, kind = f"job-{number}", intent["kind"]
            await act(kind, request, backend, key, waits=said["waits"])
            ours = [writer.describe(each) for each in simulator.requests if each.name != "file"]
            found += [(kind, each) for each in differences(intent["calls"], ours)]
        await backend.aclose()
    return found


def is_listed(rule: Mapping[str, Any], kind: str, found: Difference) -> bool:
    """Whether a rule is about a difference; its place may be a pattern."""
    return (
        fnmatchcase(found.place, rule["place"])
        and rule.get("only") == found.only
        and kind in rule.get("intents", (kind,))
        and rule.get("sdk", found.sdk) == found.sdk
        and rule.get("ours", found.ours) == found.ours
    )


@pytest.mark.parametrize("name", names())
async def test_what_is_sent_is_what_the_sdk_sends_but_for_what_is_listed(
    name: str, given: Given, tmp_path: Path
) -> None:
    rules = RULES["differences"].get(name, [])
    found = await found_in(recording(name), given, tmp_path)

    unlisted = [
        f"{kind}: {each}"
        for kind, each in found
        if not any(is_listed(r, kind, each) for r in rules)
    ]
    gone = [rule for rule in rules if not any(is_listed(rule, *each) for each in found)]
    assert not unlisted, "\n".join(("mend it, or list it in differences.yaml:", *unlisted))
    assert not gone, f"there is no such difference any more: {gone}"


@pytest.mark.parametrize("name", names())
def test_what_was_recorded_is_what_is_asked_for_now(name: str) -> None:
    sdk, said = load(name), recording(name)

    recorded = [(each["kind"], each["request"]) for each in said["intents"]]
    assert json.loads(json.dumps([(each.kind, each.request) for each in sdk.intents])) == [
        list(each) for each in recorded
    ], "run: make wire"
    assert (said["sdk"], said["provider"]) == (sdk.package, sdk.provider)
    assert (said["options"], said["simulator"], said["waits"]) == (
        sdk.options,
        sdk.simulator,
        sdk.waits,
    )


def test_the_level_of_a_provider_is_wire_equal_where_it_was_compared() -> None:
    compared = {each["provider"]: each for each in map(recording, names())}

    for name, spec in SPECS.items():
        options = compared.get(name, {"options": {}})["options"]
        if spec.needs_section and name not in compared:
            continue  # what nobody has an SDK of
        backend = spec.factory(BackendSettings(Path(), options=options))
        said = backend.capabilities().verification
        assert (said.level is VerificationLevel.WIRE_EQUAL) == (name in compared), name
        if name in compared:
            assert f"{compared[name]['sdk']} {compared[name]['version']}" in str(said.note)


def test_every_reason_is_given_and_every_recorded_provider_exists() -> None:
    rules = [each for listed in RULES["differences"].values() for each in listed]

    assert {path.stem for path in (HERE / "recordings").iterdir()} == set(names())
    assert set(RULES["differences"]) <= set(names())
    assert all(str(rule["why"]).strip() for rule in rules)
    assert all(set(rule.get("intents", ())) <= set(KINDS) for rule in rules)


def test_no_key_and_no_address_of_this_machine_is_in_a_recording() -> None:
    for path in (HERE / "recordings").iterdir():
        text = path.read_text("utf-8")
        assert KEY not in text
        assert "127.0.0.1" not in text


CALL = {"name": "submit", "method": "POST", "path": "/v1", "query": {}, "headers": {"a": "b"}}


@pytest.mark.parametrize(
    ("changed", "place", "only"),
    [
        ({"method": "PUT"}, "submit method", None),
        ({"path": "/v2"}, "submit path", None),
        ({"query": {"x": "1"}}, "submit query.x", "ours"),
        ({"headers": {}}, "submit headers.a", "sdk"),
        ({"body": {"seed": 1, "n": [1]}}, "submit body.seed", None),
        ({"body": {"seed": 0}}, "submit body.n", "sdk"),
        ({"body": {"seed": 0, "n": [1.0]}}, "submit body.n.0", None),
        ({"body": {"seed": 0, "n": [1, 2]}}, "submit body.n", None),
    ],
)
def test_a_difference_is_found_wherever_it_is(changed: Any, place: str, only: Any) -> None:
    sdk = {**CALL, "body": {"seed": 0, "n": [1]}}

    [found] = differences([sdk], [{**sdk, **changed}])

    assert (found.place, found.only) == (place, only)


def test_a_call_that_only_one_of_them_makes_is_a_difference() -> None:
    twice = list(differences([CALL], [CALL, CALL]))
    none = list(differences([CALL], []))

    assert [(each.place, each.only) for each in (*twice, *none)] == [
        ("submit", "ours"),
        ("submit", "sdk"),
    ]
