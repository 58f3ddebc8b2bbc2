"""The command that tests a backend for real, at little cost."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from media_agent.cli.arguments import Flag, Number, Output, read_number
from media_agent.cli.screen import write_error, write_facts, write_json, write_stderr

if TYPE_CHECKING:
    from media_agent.verify_live import VerificationReport


def verify_live(
    backend: str, /, *, max_cost: Number, out: Output = None, json: Flag = False
) -> int:
    """Run the smallest real job of a backend and print a report that is safe to share.

    Args:
        backend: NAME or NAME/MODEL, as listed by media-agent backends.
        max_cost: Do nothing if it would cost more than this, in USD.
        out: Also write the report as JSON to this file.
        json: Print the report as JSON.
    """
    import asyncio

    from media_agent.error_codes import exit_code
    from media_agent.storage.new_file import check_new_file

    if out is not None:
        check_new_file(out, "--out", overwrite=True)
    report = asyncio.run(_verify(backend, read_number("max-cost", max_cost) or 0.0))
    if out is not None:
        from media_agent.storage.files import storage_errors, write_atomically

        with storage_errors(str(out)):
            write_atomically(out, report.model_dump_json(indent=2).encode() + b"\n")
    if json:
        write_json(report)
    else:
        write_facts(_list_facts(report))
    if report.error is not None:
        write_error(report.error)
        return exit_code(report.error)
    return 0 if report.proves is not None else 1


async def _verify(backend: str, max_cost: float) -> "VerificationReport":
    from media_agent.cli.run_job import announce_keys
    from media_agent.client import VideoClient
    from media_agent.verify_live import verify_live as verify

    if max_cost > 0:
        write_stderr(f"price: at most {_format_usd(max_cost)}")
    async with VideoClient() as client:
        announce_keys(client, [backend.partition("/")[0]])
        return await verify(client, backend, max_cost_usd=max_cost)


def _list_facts(report: "VerificationReport") -> Iterator[tuple[str, object]]:
    video, is_billed = report.video, (report.cost.source or "").startswith("billed")
    cost = report.cost.usd if is_billed else None
    yield "backend", f"{report.backend}/{report.model}"
    yield "asked", ", ".join(f"{name} {value}" for name, value in report.asked.items())
    for each in report.exchanges:
        yield "wire", f"{each.at:.2f} s {each.method} {each.address} -> {each.status}"
    for name, seconds in sorted(report.events.items(), key=lambda item: item[1]):
        yield "event", f"{seconds:.2f} s {name}"
    if video is not None:
        facts = f"{video.frames} frames, {video.width}x{video.height}, {video.fps:g} fps"
        yield "video", f"{facts}, {video.codec}, {video.duration:.2f} s"
    yield "took", f"{report.seconds:.2f} s"
    yield "cost", f"expected {_format_usd(report.estimated_usd)}, billed {_format_usd(cost)}"
    for warning in report.warnings:
        yield "warning", warning
    if report.proves is None:
        yield "proves", f"nothing: the job {report.status}"
    else:
        note = f" ({report.proves.note})" if report.proves.note else ""
        yield "proves", f"{report.proves}{note}; declared is {report.declared}"


def _format_usd(value: float | None) -> str:
    from media_agent_schemas.base import format_usd

    return "unknown" if value is None else f"{format_usd(value)} USD"
