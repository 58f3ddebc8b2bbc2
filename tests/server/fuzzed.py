"""A server on a socket of this machine, and calls that its own description of itself allows."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator

import httpx
import uvicorn
from fastapi import FastAPI

from media_agent.config.settings import Settings, load_settings
from media_agent.server.run import bind

SMALL = {"prompt": "a red circle", "num_frames": 2, "size": {"width": 32, "height": 32}}


def quick_settings() -> Settings:
    """Return settings of a server on which random calls cost nothing: no video is drawn."""
    options = {"sandbox": {"options": {"fail_at": "submit"}}}
    return load_settings(default_backend="sandbox", backends=options)


@contextlib.contextmanager
def serving(app: FastAPI) -> Iterator[str]:
    """Serve in a thread of this process while the context lasts; yields the address."""
    with bind("127.0.0.1", 0) as listening:
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=1))
        thread = threading.Thread(target=lambda: asyncio.run(server.serve([listening])))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            app.state.context.stop()
            server.should_exit = True
            thread.join()


def make_video(base: str) -> str:
    """Return the id of a finished job."""
    request = {**SMALL, "options": {"sandbox": {"fail_at": "never"}}}
    job = httpx.post(f"{base}/v1/jobs", json={"request": request}).raise_for_status().json()
    httpx.get(f"{base}/v1/jobs/{job['id']}/events", timeout=60)
    return str(job["id"])
