"""A backend that dies on the way of a command; a module of its own, so processes can import it."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from media_agent.backend.local import Chunk, GenerationContext, LocalBackend, Steering
from media_agent.backend.protocol import BackendSettings, BackendSpec
from media_agent.client import VideoClient
from media_agent.config.settings import load_settings
from media_agent.registry.plugins import Discovery
from media_agent.registry.registry import Registry
from media_agent_schemas import (
    Capabilities,
    ChangePrompt,
    Control,
    Estimate,
    Finish,
    OperationRef,
    ResumeToken,
    Size,
    VideoRequest,
)
from media_agent_schemas.capabilities import CancelRule

REQUEST = VideoRequest(prompt="a cat", endless=True, seed=0, model="mortal")
KILLED = 9


class MortalBackend(LocalBackend):
    """Ends its process at a step of a command, as a kill would; None: never."""

    kind = "mortal"

    def __init__(self, settings: BackendSettings, folder: Path, dies_at: str | None) -> None:
        super().__init__(settings)
        self._folder, self._dies_at = folder, dies_at

    def capabilities(self, model: str | None = None) -> Capabilities:
        return Capabilities(
            backend="mortal",
            model="one",
            sizes=(Size(width=16, height=16),),
            default_fps=4,
            default_duration=1,
            seed=True,
            endless=True,
            controls=(Control.CHANGE_PROMPT, Control.FINISH),
            cancel_rule=CancelRule.STOPS,
            resumable=True,
            streams=True,
            lookup="key",
            resubmits=True,
            local=True,
        )

    def estimate(self, request: VideoRequest) -> Estimate:
        return Estimate(cost_usd=0.0)

    async def control(
        self, ref: OperationRef, command: ChangePrompt | Finish, *, number: int
    ) -> None:
        self._reached("receive")
        await super().control(ref, command, number=number)

    def generate(self, request: VideoRequest, context: GenerationContext) -> Iterator[Chunk]:
        index = 0 if context.resume is None else context.resume.next_chunk

        def change_now(prompt: str) -> int:
            with (self._folder / "applied").open("a") as file:
                file.write(f"{prompt}\n")
            self._reached("apply")
            return index

        steering = Steering(context, on_prompt=lambda prompt: self._reached("acknowledge"))
        frames = np.zeros((2, 16, 16, 3), np.uint8)
        while not steering.ends_before(index):
            context.check()
            token = ResumeToken(backend=self.name, model="one", next_chunk=index + 1)
            yield Chunk(index, frames, token)
            index += 1
            self._sleep_a_little()
            steering.take(begun=index, last=index, change_now=change_now)
            if steering.prompt(index) is not None:
                self._reached("announce")

    def _reached(self, step: str) -> None:
        if step == self._dies_at:
            os._exit(KILLED)

    @staticmethod
    def _sleep_a_little() -> None:
        """Let others look: an endless video of black frames is made much faster than it is seen."""
        asyncio.run(asyncio.sleep(0.02))


def client_of(folder: Path, dies_at: str | None = None) -> VideoClient:
    """Return a client whose only backend dies at a step."""
    spec = BackendSpec("mortal", lambda settings: MortalBackend(settings, folder, dies_at))
    return VideoClient(
        settings=load_settings(
            data_dir=folder / "data", config=folder / "none.toml", default_backend="mortal"
        ),
        registry=Registry(Discovery({"mortal": spec})),
    )


def make(folder: Path, dies_at: str | None) -> None:
    """Make an endless video until somebody ends it, or this process."""

    async def life() -> None:
        async with client_of(folder, dies_at) as client:
            await client.generate(REQUEST, job_id="mine")

    asyncio.run(life())
