"""The models that can be named in a call."""

import openai
import pytest

from media_agent.server.context import ServerContext

pytestmark = pytest.mark.anyio


def modes_of(model: openai.types.Model) -> list[str]:
    assert model.model_extra is not None
    modes: list[str] = model.model_extra["media_agent"]["modes"]
    return modes


async def test_models_and_the_names_that_the_settings_give_them(
    official: openai.AsyncOpenAI, server: ServerContext
) -> None:
    names = {"sora-2": "sandbox/slate", "sora-2-pro": "gone/model", "whole": "sandbox"}
    section = server.settings.server.model_copy(update={"models": names})
    server.settings = server.settings.model_copy(update={"server": section})

    models = {each.id: each async for each in official.models.list()}
    model = await official.models.retrieve("sora-2")

    assert models["sora-2"].owned_by == models["sandbox/slate"].owned_by == "sandbox"
    assert models["sora-2-pro"].owned_by == "gone"
    assert modes_of(models["whole"]) == modes_of(models["sandbox/slate"]) != []
    assert not [each for each in models if each.startswith("fal/")]  # it lacks a key
    assert model.model_extra is not None
    own = model.model_extra["media_agent"]
    assert own["alias_of"] == "sandbox/slate"
    assert own["capabilities"]["model"] == "slate"
    for unknown in ("sora-3", "sandbox/other", "nothing"):
        with pytest.raises(openai.NotFoundError):
            await official.models.retrieve(unknown)
