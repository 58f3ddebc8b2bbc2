"""What the processes of test_processes do; a module of its own, so that they can import it."""

import asyncio
import contextlib
import os
from multiprocessing.synchronize import Barrier
from pathlib import Path

from benchmarks.kill_matrix import make_client
from media_agent.errors import JobError
from media_agent_schemas.request import VideoRequest

REQUEST = VideoRequest(prompt="a red kite over a lake", seed=7)


def make(folder: Path, url: str, key: str, prompt: str, barrier: Barrier | None) -> None:
    """Ask for a video under an idempotency key; write down the job that came of it."""

    async def life() -> None:
        async with make_client(folder, "fal", url, lambda step: None) as client:
            client.store.jobs.list()  # the ledger is open before the others begin
            if barrier is not None:
                await asyncio.to_thread(barrier.wait)
            request = REQUEST.model_copy(update={"prompt": prompt})
            job = await client.generate(request, out=folder / "video.mp4", idempotency_key=key)
            (folder / f"{job.id}.{id(job)}.seen").write_text(job.status)

    asyncio.run(life())


def make_on(ledger: str, folder: Path, url: str, key: str, prompt: str) -> None:
    """Ask for a video as `make` does, with the ledger on a server."""
    os.environ["MEDIA_AGENT_LEDGER"] = ledger
    make(folder, url, key, prompt, None)


def resume_on(ledger: str, folder: Path, url: str, barrier: Barrier) -> None:
    """Try to resume whatever is in a ledger on a server."""
    os.environ["MEDIA_AGENT_LEDGER"] = ledger
    resume_everything(folder, url, barrier)


def resume_everything(folder: Path, url: str, barrier: Barrier) -> None:
    """Open the ledger and try to resume whatever is in it."""

    async def life() -> None:
        async with make_client(folder, "fal", url, lambda step: None) as client:
            await asyncio.to_thread(barrier.wait)
            for job in await client.list():
                with contextlib.suppress(JobError):  # somebody works on it
                    await client.resume(job.id)

    asyncio.run(life())


def cancel(folder: Path, url: str) -> None:
    """Stop all jobs, from a process that does not run them."""

    async def life() -> None:
        async with make_client(folder, "fal", url, lambda step: None) as client:
            for job in await client.list():
                await client.cancel(job.id)

    asyncio.run(life())
