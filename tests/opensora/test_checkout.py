"""What is missing in a checkout is named, with the way to get it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from media_agent.errors import BackendUnavailableError, ConfigurationError
from media_agent_opensora.checkout import Checkout
from media_agent_opensora.models import MODELS
from tests.opensora.conftest import Build, FakeOpenSora, make_request, run

CONFIG = "configs/diffusion/inference/256px.py"


def test_a_whole_checkout_lacks_nothing(fake: FakeOpenSora) -> None:
    checkout = Checkout(fake.checkout, fake.torchrun)

    for model in MODELS.values():
        for gpus in (1, 2):
            assert checkout.find_missing(model.name_config(gpus), None) is None


def be_version_1(folder: Path) -> None:
    (folder / "scripts" / "diffusion" / "inference.py").rename(folder / "scripts" / "inference.py")


def be_the_plan(folder: Path) -> None:
    shutil.rmtree(folder / "scripts")
    (folder / "opensora" / "sample").mkdir(parents=True)


@pytest.mark.parametrize(
    ("damage", "what", "how"),
    [
        (shutil.rmtree, "a checkout", "git clone https://github.com/hpcaitech/Open-Sora"),
        (
            lambda folder: shutil.rmtree(folder / "scripts"),
            "scripts/diffusion/inference.py",
            "is no checkout of Open-Sora 2.0",
        ),
        (be_version_1, "scripts/diffusion/inference.py", "Open-Sora 1.x; Open-Sora 1.x and"),
        (be_the_plan, "scripts/diffusion/inference.py", "is Open-Sora Plan; Open-Sora 1.x and"),
        (lambda folder: (folder / CONFIG).unlink(), CONFIG, "main branch"),
        (
            lambda folder: (folder / CONFIG).write_text("model = ("),
            f"a readable {CONFIG}",
            "never closed",
        ),
        (
            lambda folder: (folder / "ckpts/hunyuan_vae.safetensors").unlink(),
            "ckpts/hunyuan_vae.safetensors",
            "hf download hpcai-tech/Open-Sora-v2 --local-dir",
        ),
        (
            lambda folder: (folder / "ckpts/openai/clip-vit-large-patch14").unlink(),
            "ckpts/openai/clip-vit-large-patch14",
            "hf download",
        ),
        (
            lambda folder: (folder.parent / "environment/bin/torchrun").unlink(),
            "torchrun",
            "was not found",
        ),
    ],
    ids=[
        *("folder", "script", "1.x", "plan", "config", "syntax", "weights", "folder of weights"),
        "torchrun",
    ],
)
def test_what_is_missing_is_named(
    fake: FakeOpenSora, damage: Callable[[Path], object], what: str, how: str
) -> None:
    damage(fake.checkout)

    missing = Checkout(fake.checkout, fake.torchrun).find_missing("256px.py", None)

    name, _, way = str(missing).partition(": ")
    assert name == what
    assert how in way


def test_empty_files_and_folders_of_weights_are_missing(fake: FakeOpenSora) -> None:
    weights = fake.checkout / "ckpts"
    (weights / "Open_Sora_v2.safetensors").write_bytes(b"")
    (weights / "google/t5-v1_1-xxl").unlink()
    (weights / "google/t5-v1_1-xxl").mkdir()

    missing = Checkout(fake.checkout, fake.torchrun).find_missing("256px.py", None)

    assert "ckpts/Open_Sora_v2.safetensors" in str(missing)
    assert "ckpts/google/t5-v1_1-xxl" in str(missing)


def test_weights_of_flux_are_missing_only_where_they_are_used(fake: FakeOpenSora) -> None:
    (fake.checkout / "ckpts" / "flux1-dev.safetensors").unlink()
    checkout = Checkout(fake.checkout, fake.torchrun)

    assert checkout.find_missing("768px.py", None) is None
    assert str(checkout.find_missing("t2i2v_768px.py", None)).startswith("ckpts/flux1-dev.safet")


def test_a_configuration_that_is_based_on_itself_is_no_endless_loop(fake: FakeOpenSora) -> None:
    (fake.checkout / CONFIG).write_text('_base_ = "256px.py"')

    missing = Checkout(fake.checkout, fake.torchrun).find_missing("256px.py", None)

    assert str(missing).startswith(f"a readable {CONFIG}")


def test_torchrun_is_looked_for_on_the_search_path(fake: FakeOpenSora) -> None:
    checkout = Checkout(fake.checkout, Path("torchrun"))

    assert checkout.find_missing("256px.py", str(fake.torchrun.parent)) is None
    assert str(checkout.find_missing("256px.py", "/nowhere")).startswith("torchrun: ")


@pytest.mark.anyio
async def test_weights_may_be_elsewhere(build: Build, fake: FakeOpenSora, tmp_path: Path) -> None:
    (fake.checkout / "ckpts").rename(tmp_path / "weights")

    end = await run(build(ckpts=str(tmp_path / "weights")), make_request())

    assert end.type == "job.completed", end
    used = fake.asked["values"]
    assert used["t5"]["from_pretrained"] == str(tmp_path / "weights/google/t5-v1_1-xxl")


@pytest.mark.anyio
async def test_nothing_is_run_where_something_is_missing(build: Build, fake: FakeOpenSora) -> None:
    (fake.checkout / CONFIG).unlink()
    backend = build()

    with pytest.raises(BackendUnavailableError, match=r"opensora needs configs/.*256px\.py"):
        await backend.submit(make_request(), key="job-1")

    assert backend.capabilities("t2i2v-768px").missing is not None  # it is based on the same
    assert not fake.was_run


@pytest.mark.anyio
async def test_models_that_are_not_offered_are_not_there(build: Build) -> None:
    backend = build(models=["768px", "768px-extend"])

    assert backend.capabilities().models == ("768px", "768px-extend")
    with pytest.raises(ConfigurationError, match="no model '256'"):
        build(models=["256"])
