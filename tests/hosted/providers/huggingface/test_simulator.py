"""The simulator of Hugging Face answers as each partner does: same fields, types and statuses."""

from typing import Any

import httpx
import pytest

from media_agent_hosted.providers.huggingface.simulator import HuggingFaceSimulator
from tests.hosted.provider_kit import Replies

REPLIES = Replies(__file__)
HEADERS = {"Authorization": "Bearer hf_some"}
QUEUE = {"_subdomain": "queue"}
PROMPT = {"prompt": "a fox", "num_frames": 17}
FAL = "/fal-ai/fal-ai/wan/v2.2-a14b/text-to-video"
REPLICATE = "/replicate/v1/models/wan-video/wan-2.2-t2v-fast/predictions"
WAVESPEED = "/wavespeed/api/v3/wavespeed-ai/wan-2.2/t2v-5b-720p"
TOGETHER = {"model": "Wan-AI/Wan2.2-T2V-A14B", **PROMPT}
PATHS: dict[str, tuple[str, Any, str]] = {
    "fal": (FAL, PROMPT, "/fal-ai/fal-ai/wan/requests/{}/status"),
    "replicate": (REPLICATE, {"input": PROMPT}, "/replicate/v1/predictions/{}"),
    "together": ("/together/v2/videos", TOGETHER, "/together/v2/videos/{}"),
    "wavespeed": (WAVESPEED, PROMPT, "/wavespeed/api/v3/predictions/{}/result"),
}


def submit(simulator: HuggingFaceSimulator, partner: str, **more: Any) -> httpx.Response:
    path, body, _ = PATHS[partner]
    known = {"headers": HEADERS, "json": body, "params": QUEUE}
    return httpx.post(simulator.url + path, **(known | more))


def polled(simulator: HuggingFaceSimulator, partner: str) -> list[httpx.Response]:
    """Submit, poll as often as it takes to the end, and return all answers."""
    answers = [submit(simulator, partner)]
    where = simulator.url + PATHS[partner][2].format(next(iter(simulator.jobs)))
    for _ in range(simulator.queued_polls + simulator.running_polls + 1):
        answers.append(httpx.get(where, headers=HEADERS, params=QUEUE))
    return answers


@pytest.mark.parametrize(
    ("partner", "names"),
    [
        ("fal", ("submitted", "in_progress", "completed")),
        ("replicate", ("submitted", "processing")),
        ("together", ("submitted", "in_progress", "completed")),
        ("wavespeed", ("submitted", "processing", "completed")),
    ],
)
def test_every_answer_of_a_good_run_has_the_documented_shape(
    partner: str, names: tuple[str, ...]
) -> None:
    with HuggingFaceSimulator(queued_polls=0, running_polls=1) as simulator:
        answers = polled(simulator, partner)

    for answer, name in zip(answers, names, strict=False):
        assert REPLIES.has_shape(answer, f"{partner}_{name}")


@pytest.mark.parametrize(
    ("partner", "outcome", "name"),
    [
        ("fal", "failed", "fal_failed"),
        ("replicate", "moderated", "replicate_moderated"),
        ("together", "failed", "together_failed"),
        ("wavespeed", "failed", "wavespeed_failed"),
    ],
)
def test_every_other_end_has_the_documented_shape(partner: str, outcome: str, name: str) -> None:
    with HuggingFaceSimulator(outcome=outcome, queued_polls=0, running_polls=0) as simulator:
        assert REPLIES.has_shape(polled(simulator, partner)[-1], name)


def test_the_mapping_and_novita_have_the_documented_shape() -> None:
    with HuggingFaceSimulator() as simulator:
        model = f"{simulator.url}/api/models/Wan-AI/Wan2.2-TI2V-5B"
        mapping = httpx.get(model, headers=HEADERS).json()
        made = httpx.post(f"{simulator.url}/novita/v3/hf/wan-t2v", headers=HEADERS, json=PROMPT)

    documented = REPLIES.read("mapping")["body"]
    offers = mapping["inferenceProviderMapping"]
    assert set(mapping) == set(documented)
    assert set(offers["wavespeed"]) == set(documented["inferenceProviderMapping"]["fal-ai"])
    assert REPLIES.has_shape(made, "novita_made")


def test_a_key_is_wanted_and_an_unknown_request_is_not_found() -> None:
    with HuggingFaceSimulator() as simulator:
        keyless = submit(simulator, "fal", headers={})
        where = simulator.url + PATHS["fal"][2].format("x")
        unknown = httpx.get(where, headers=HEADERS, params=QUEUE)

    assert (keyless.status_code, unknown.status_code) == (401, 404)


@pytest.mark.parametrize("partner", PATHS)
def test_without_a_prompt_or_credit_nothing_is_accepted(partner: str) -> None:
    body = {"input": {}} if partner == "replicate" else {}
    with HuggingFaceSimulator() as simulator:
        senseless = submit(simulator, partner, json=body)
        assert (senseless.status_code, simulator.accepted) == (422, 0)
    with HuggingFaceSimulator(outcome="no_credit") as simulator:
        assert REPLIES.has_shape(submit(simulator, partner), "no_credit")
        assert simulator.accepted == 0
