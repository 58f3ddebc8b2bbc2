"""A server on a socket of this machine, and calls that its own description of itself allows."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import httpx
import schemathesis
import uvicorn
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import (
    negative_data_rejection,
    positive_data_acceptance,
)

from media_agent.config.settings import Settings, load_settings
from media_agent.storage.listening import listen

SMALL = {"prompt": "a red circle", "num_frames": 2, "size": {"width": 32, "height": 32}}


def quick_settings() -> Settings:
    """Return settings of a server on which random calls cost nothing: no video is drawn."""
    options = {"sandbox": {"options": {"fail_at": "submit"}}}
    return load_settings(default_backend="sandbox", backends=options)


@contextlib.contextmanager
def serving(app: FastAPI) -> Iterator[str]:
    """Serve in a thread of this process while the context lasts; yields the address."""
    with listen("127.0.0.1", 0) as listening:
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


def fuzz(
    base: str,
    *,
    examples: int,
    modes: Sequence[GenerationMode] = tuple(GenerationMode),
    is_wanted: Callable[[str], bool] = lambda label: True,
) -> int:
    """Make calls that the description of the server allows, and as many that it forbids.

    Every reply must be as described; none may be a 500. That what is well-formed is accepted is not
    checked: no schema says that a model knows a word, or that a job is still running. Returns how
    many calls were made.
    """
    known = make_video(base)
    made = 0
    for found in schemathesis.openapi.from_url(f"{base}/openapi.json").get_all_operations():
        operation = found.ok()
        if not is_wanted(operation.label):
            continue
        for mode in modes:
            made += _call(operation, mode, examples, known)
    return made


def _call(operation: Any, mode: GenerationMode, examples: int, known: str) -> int:
    made = 0

    @settings(
        max_examples=examples,
        derandomize=examples < 10,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def call(case: Any) -> None:
        nonlocal made
        if mode is GenerationMode.POSITIVE and case.method != "DELETE":
            for name in case.path_parameters.keys() & {"job_id"}:
                case.path_parameters[name] = known
        reply = case.call(timeout=30)
        made += 1
        assert reply.status_code != 500, reply.content
        excluded = [positive_data_acceptance]
        if str(case.media_type).startswith("multipart/"):  # all in it is text: null is "null"
            excluded.append(negative_data_rejection)
        case.validate_response(reply, excluded_checks=excluded)

    with contextlib.suppress(Unsatisfiable):  # there is nothing that it forbids
        call()
    return made
