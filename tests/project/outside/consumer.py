"""Code of another author, which type checkers without plugins must find right."""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Iterator
from pathlib import Path

from media_agent import BlockingVideoClient, VideoClient, VideoRequest
from media_agent.backend.hookspecs import hookimpl
from media_agent.backend.local import Chunk, GenerationContext, LocalBackend
from media_agent.backend.protocol import BackendSettings, BackendSpec, VideoBackend
from media_agent.errors import MediaAgentError, UnsupportedRequestError
from media_agent.tools import ToolBox
from media_agent_schemas import Capabilities, Estimate, OptionSpec
from media_agent_schemas.events import JobCompleted, JobFailed, JobProgressed
from media_agent_schemas.jobs import JobStatus, OperationRef, VideoJob
from media_agent_schemas.media import InputRole, MediaInput, Size
from media_agent_schemas.request import Budget, Routing, Shot
from media_agent_schemas.request import VideoRequest as Request


def storyboard() -> VideoRequest:
    return VideoRequest(
        shots=(Shot(prompt="a fox", duration=2.0), Shot(prompt="a fox asleep")),
        duration=8.0,
        size=Size(width=1280, height=720),
        inputs=(MediaInput(role=InputRole.FIRST_FRAME, path="fox.png"),),
        budget=Budget(max_cost_usd=2.0),
        routing=Routing(),
        options={"sandbox": {"latency_seconds": 0.1}},
    )


async def make(request: Request) -> VideoJob:
    async with VideoClient() as client:
        job = await client.generate(request, out=Path("fox.mp4"), overwrite=True)
        plan = await client.plan(request)
        print(plan.model, [segment.count for segment in plan.segments])
        answer = await ToolBox(client).call("get_video", {"job_id": job.id})
        print(answer.get("status"))
        return await client.get(job.id)


def make_and_wait() -> str:
    try:
        with BlockingVideoClient() as client:
            job = client.generate(VideoRequest(prompt="a fox", seed=7), idempotency_key="mine")
    except UnsupportedRequestError as error:
        return "; ".join(mismatch.reason for mismatch in error.mismatches)
    except MediaAgentError as error:
        return error.hint or error.message
    assert job.status is JobStatus.COMPLETED
    return job.artifacts[0].path or job.artifacts[0].uri or ""


class Waves(LocalBackend):
    kind = "waves"

    def capabilities(self, model: str | None = None) -> Capabilities:
        return Capabilities(
            backend=self.name,
            model="plain",
            options=(OptionSpec(name="height", type="number", description="of a wave"),),
        )

    def estimate(self, request: VideoRequest) -> Estimate:
        return Estimate(cost_usd=0.0)

    def generate(self, request: VideoRequest, context: GenerationContext) -> Iterator[Chunk]:
        yield from ()


async def follow(backend: VideoBackend, ref: OperationRef) -> AsyncGenerator[str, None]:
    async for event in backend.observe(ref):
        match event:
            case JobProgressed(phase=phase):
                yield phase
            case JobFailed(error=error):
                yield error.message
            case JobCompleted():
                yield "done"
            case _:
                pass


@hookimpl
def media_agent_backends() -> Iterable[BackendSpec]:
    return [BackendSpec(name="waves", factory=Waves)]


if __name__ == "__main__":
    print(asyncio.run(make(storyboard())), make_and_wait())
    print(Waves(BackendSettings(data_dir=Path("data"))))
