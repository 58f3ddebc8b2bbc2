"""What is measured of a server, one function for each kind of number."""

import asyncio
import json
import re
import statistics
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.server.load import Call, Load, Target, ask, connected, create, load
from benchmarks.server.programs import Program

ENDED = ("completed", "failed")
LISTENERS = 1000
AT_ONCE = 200
PATIENCE = 300.0  # seconds that all jobs have to end
_ID = re.compile(rb"^id: ?(\d+)", re.MULTILINE)

Numbers = dict[str, float]


@dataclass(frozen=True)
class Subject:
    """A server that is measured."""

    program: Program
    target: Target

    async def video(self, video_id: str) -> Mapping[str, object]:
        """Return what the server says of a video."""
        status, body = await ask(self.target, Call("GET", f"/v1/videos/{video_id}"))
        assert status == 200, body
        found: Mapping[str, object] = json.loads(body)
        return found

    async def wait_for(self, video_id: str) -> None:
        """Wait until a video is made."""
        async with asyncio.timeout(PATIENCE):
            while True:
                video = await self.video(video_id)
                if video["status"] in ENDED:
                    break
                await asyncio.sleep(0.1)
        assert video["status"] == "completed", video


async def creates(subject: Subject, upstream: Target, *, count: int, in_flight: int) -> Numbers:
    """Create videos, and wait until the upstream has been asked for each of them."""
    before = await _count_videos(upstream)
    begin = subject.program.cpu_seconds()
    found = await load(subject.target, _create, count=count, in_flight=in_flight)
    answered = subject.program.cpu_seconds()
    await _wait_for_videos(upstream, before + count)
    submitted = subject.program.cpu_seconds()
    return {
        **_rates(found),
        "cpu_ms": 1000 * (answered - begin) / count,
        "cpu_ms_until_submitted": 1000 * (submitted - begin) / count,
    }


async def statuses(subject: Subject, video_id: str, *, count: int, in_flight: int) -> Numbers:
    """Ask how far one video is."""
    call = Call("GET", f"/v1/videos/{video_id}")
    begin = subject.program.cpu_seconds()
    found = await load(subject.target, lambda number: call, count=count, in_flight=in_flight)
    cpu_ms = 1000 * (subject.program.cpu_seconds() - begin) / count
    return {**_rates(found), "cpu_ms": cpu_ms}


async def download(subject: Subject, video_id: str, size: int) -> Numbers:
    """Download a large video once, and a piece of it."""
    call = Call("GET", f"/v1/videos/{video_id}/content")
    before = subject.program.memory_mb()
    begin, received = time.perf_counter(), 0
    first: float | None = None
    with subject.program.peak_memory() as peak:
        async with connected(subject.target) as connection:
            status, head = await connection.send(call)
            assert status == 200, head
            async for piece in connection.pieces(head):
                first = time.perf_counter() - begin if first is None else first
                received += len(piece)
    assert received == size, f"{received} of {size} bytes"
    seconds = time.perf_counter() - begin
    piece_of = Call("GET", call.path, headers={"Range": "bytes=100-1099"})
    status, body = await ask(subject.target, piece_of)
    return {
        "first_byte_ms": 1000 * (first or seconds),
        "seconds": seconds,
        "extra_memory_mb": peak[0] - before,
        "range_status": status,
        "range_bytes": len(body),
    }


async def listeners(subject: Subject, model: str) -> Numbers:
    """Let many listen to the events of one job, from their first to their last."""
    video_id = await create(subject.target, model)
    begin = subject.program.cpu_seconds()
    found = await asyncio.gather(*(_listen(subject.target, video_id) for _ in range(LISTENERS)))
    spent = subject.program.cpu_seconds() - begin
    events = max(len(numbers) for numbers in found)
    whole = sum(numbers == list(range(events)) for numbers in found)
    return {
        "listeners": LISTENERS,
        "events": events,
        "listeners_with_all_events": whole,
        "cpu_seconds": spent,
    }


async def at_once(subject: Subject, model: str) -> Numbers:
    """Create many videos in the same moment, and ask on while all of them are made."""
    begin = time.perf_counter()
    made = await load(
        subject.target,
        lambda number: _create(number, model),
        count=AT_ONCE,
        in_flight=AT_ONCE,
    )
    left = {str(json.loads(body)["id"]) for body in made.bodies}
    ends: Counter[str] = Counter()
    slowest = 0.0
    async with asyncio.timeout(PATIENCE):
        while left:
            for video_id in sorted(left):
                asked = time.perf_counter()
                status = str((await subject.video(video_id))["status"])
                slowest = max(slowest, time.perf_counter() - asked)
                if status in ENDED:
                    left.remove(video_id)
                    ends[status] += 1
            await asyncio.sleep(0.2)
    return {
        "jobs": AT_ONCE,
        "slowest_create_s": max(made.latencies),
        "slowest_status_meanwhile_s": slowest,
        "all_ended_after_s": time.perf_counter() - begin,
        **{name: float(number) for name, number in ends.items()},
    }


def medians(runs: list[Numbers]) -> Numbers:
    """Return the median of each number."""
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


def _create(number: int, model: str = "slow") -> Call:
    body = {"model": model, "prompt": f"a fox in snow, view {number}", "seconds": "4"}
    return Call("POST", "/v1/videos", body)


def _rates(found: Load) -> Numbers:
    return {
        "per_second": found.per_second,
        "median_ms": 1000 * statistics.median(found.latencies),
        "slowest_ms": 1000 * max(found.latencies),
    }


async def _wait_for_videos(upstream: Target, number: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            if await _count_videos(upstream) >= number:
                return
            await asyncio.sleep(0.05)


async def _count_videos(upstream: Target) -> int:
    _, body = await ask(upstream, Call("GET", "/counts"))
    return int(json.loads(body)["videos"])


async def _listen(target: Target, video_id: str) -> list[int]:
    """Return the numbers of the events that came."""
    call = Call("GET", f"/v1/jobs/{video_id}/events", headers={"Accept": "text/event-stream"})
    async with asyncio.timeout(PATIENCE), connected(target) as connection:
        status, head = await connection.send(call)
        assert status == 200, head
        text = b"".join([piece async for piece in connection.pieces(head)])
    return [int(number) for number in _ID.findall(text)]
