"""How much memory is needed is said before anything starts; all figures are injected."""

import pytest

from media_agent_opensora.memory import find_shortage
from media_agent_opensora.models import MODELS
from media_agent_schemas.events import JobCompleted
from tests.opensora.conftest import Build, make_request, run


@pytest.mark.parametrize(
    ("model", "gpus", "listing", "said"),
    [
        ("256px", (), "0, 24564\n", "GPU 0 has 25.8 GB of free memory, and 52.5 GB were needed"),
        ("256px", (), "0, 24564\n1, 81559\n", None),
        ("256px", (0,), "0, 24564\n1, 81559\n", "GPU 0 has 25.8 GB"),
        ("768px", (), "0, 57000\n", "60.3 GB were needed"),
        ("256px", (), "0, 57000\n", None),
        ("768px", (0, 1), "0, 24564\n1, 24564\n", None),  # nobody measured it on two
        ("t2i2v-256px", (), "0, 24564\n", None),  # nor with FLUX.1-dev
        ("256px", (), "0, [N/A]\n", None),
        ("256px", (), "", None),
    ],
)
def test_less_free_memory_than_was_measured_is_said(
    model: str, gpus: tuple[int, ...], listing: str, said: str | None
) -> None:
    found = find_shortage(MODELS[model], gpus, smi=("printf", "%s", listing))

    assert (found is None) == (said is None)
    assert said is None or (said in str(found) and "#808" in str(found))


def test_a_machine_without_the_tool_says_nothing() -> None:
    assert find_shortage(MODELS["256px"], (), smi=("no-such-program",)) is None


@pytest.mark.anyio
async def test_a_small_gpu_is_warned_of(build: Build) -> None:
    end = await run(build(free_mib={0: 24000}), make_request())

    assert isinstance(end, JobCompleted), end
    assert [text for text in end.warnings if "GPU 0 has 25.2 GB of free memory" in text]


@pytest.mark.anyio
async def test_enough_memory_is_no_warning(build: Build) -> None:
    end = await run(build(free_mib={0: 81559}), make_request())

    assert isinstance(end, JobCompleted), end
    assert end.warnings == ()


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("model", "gpus", "fields", "seconds", "said"),
    [
        ("256px", 1, {"num_frames": 129}, 60, "52.5 GB of memory on one GPU"),
        ("256px-extend", 1, {"num_frames": 96}, 60, "52.5 GB"),
        ("256px", 1, {"num_frames": 65}, None, "52.5 GB"),
        ("768px", 1, {"num_frames": 129}, 1656, "60.3 GB"),
        ("768px", 8, {"num_frames": 129}, 276, "an unknown amount of memory on each of 8 GPUs"),
        ("768px", 4, {"num_frames": 129}, None, "unknown amount of memory on each of 4"),
        (
            "t2i2v-256px",
            1,
            {"num_frames": 129},
            None,
            "unknown amount of memory on one GPU, with FLUX",
        ),
        (
            "256px",
            1,
            {"num_frames": 129, "options": {"opensora": {"num_inference_steps": 30}}},
            None,
            "52.5 GB",
        ),
    ],
)
async def test_a_plan_says_what_was_measured_and_nothing_else(
    build: Build, model: str, gpus: int, fields: dict[str, object], seconds: float, said: str
) -> None:
    estimate = build(gpus=list(range(gpus))).estimate(make_request(model, **fields))

    assert (estimate.cost_usd, estimate.seconds) == (0, seconds)
    assert said in str(estimate.source)
