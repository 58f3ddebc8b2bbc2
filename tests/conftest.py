"""What holds for every test: a slow machine changes nothing, and nobody's own files are touched."""

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.postgres"]

# Small tensors gain nothing from threads, and the tests run in several processes already.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# What a job must not lose is flushed; on a disk the tests would wait for that half of their time.
_MEMORY, _ENOUGH = Path("/dev/shm"), 8 << 30
if os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > _ENOUGH:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_MEMORY))

settings.register_profile("project", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("project")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs a GPU where there is none: `-m diffusers` chooses such tests as well."""
    if item.get_closest_marker("gpu") is None:
        return
    import torch

    if not torch.cuda.is_available():
        pytest.skip("there is no GPU here")


@pytest.fixture(autouse=True)
def _environment_of_our_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in os.environ:
        if name.startswith("MEDIA_AGENT_") or name.endswith(("_KEY", "_TOKEN", "_SECRET")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("MEDIA_AGENT_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("MEDIA_AGENT_CONFIG", str(tmp_path / "none.toml"))
    monkeypatch.setenv("MEDIA_AGENT_QUALITY", "off")  # measuring takes time; its own tests do it
    monkeypatch.setenv("MEDIA_AGENT_PROVENANCE__SIGN", "off")  # likewise


@pytest.fixture(scope="session")
def raw_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights for tests of everything around them: without training, and of two layers only."""
    return make_weights(tmp_path_factory, layers=2)


@pytest.fixture(scope="session")
def full_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of the shape that ships but without training, for tests of what it takes."""
    return make_weights(tmp_path_factory, layers=6)


def make_weights(folders: pytest.TempPathFactory, *, layers: int) -> Path:
    import json
    from dataclasses import asdict, replace

    import torch

    from media_agent_magi.engine.autoencoders.conv_vae import ConvVAE
    from media_agent_magi.engine.config import ConvVAEConfig
    from media_agent_magi.tiny.config import MODEL
    from media_agent_magi.tiny.model import TinyModel, initialise
    from media_agent_magi.training.checkpoint import Average, save
    from media_agent_magi.training.export import export_weights

    run, folder = folders.mktemp("run"), folders.mktemp("weights")
    torch.manual_seed(0)
    config = replace(MODEL, num_layers=layers)
    vae, model = ConvVAE(ConvVAEConfig()), TinyModel(config)
    initialise(model, 0)
    save(run / "autoencoder.safetensors", vae, Average(vae, 0.9), {"step": 0})
    save(run / "transformer.safetensors", model, Average(model, 0.9), {"step": 0})
    export_weights(run, folder)
    path = folder / "tiny.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"model": asdict(config)}))
    return folder
