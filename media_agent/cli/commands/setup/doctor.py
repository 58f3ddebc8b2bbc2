"""The command that says whether videos can be made here, and what to do where they cannot."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from media_agent.cli.arguments import Flag
from media_agent.cli.screen import (
    format_size,
    write_facts,
    write_json,
    write_stdout,
    write_table,
)

if TYPE_CHECKING:
    from media_agent.setup.doctor import Checkup, Verdict


def doctor(*, json: Flag = False) -> int:
    """Check this machine and every backend: what is missing, and the command that mends it.

    Asks no service. Exit code 0 if a backend can make a video, else 1; the sandbox does not count.

    Args:
        json: Print JSON: {"can_make_video", "cores", ..., "backends": [{"backend", ...}, ...]}.
    """
    from media_agent.setup.doctor import examine

    checkup = examine()
    if json:
        write_json(checkup.as_json())
    else:
        write_facts(_list_facts(checkup))
        heads = ("BACKEND", "READY", "MISSING", "WHAT TO DO")
        write_table(heads, [_format_row(verdict) for verdict in checkup.verdicts])
        write_stdout(_conclude(checkup))
    return 0 if checkup.can_make_video else 1


def _list_facts(checkup: "Checkup") -> Iterator[tuple[str, object]]:
    free = format_size(checkup.free_memory_bytes)
    yield "cores", checkup.cores
    yield "memory", f"{format_size(checkup.memory_bytes)}, {free} of it free"
    yield "gpu", "; ".join(checkup.gpus) or "none found"
    for folder, space in checkup.disks.items():
        yield "disk", f"{_format_space(space)} in {folder}"
    for name, is_there in checkup.encoders.items():
        yield (
            "encoder",
            name if is_there else f"{name} is missing: pip install --force-reinstall av",
        )
    judged = "plausible" if checkup.is_clock_plausible else "wrong: set it, or certificates fail"
    yield "clock", f"{checkup.clock:%Y-%m-%d %H:%M %z}, {judged}; not compared with a server"
    for name, source in checkup.keys.items():
        yield "key", f"{name}: {source}"
    if not checkup.keys:
        yield "key", "none; media-agent keys set BACKEND stores one"
    yield "signing", checkup.signing.said
    for finding in checkup.findings:
        yield "settings", finding.text if finding.is_fault else f"warning: {finding.text}"
    if not checkup.findings:
        yield "settings", "no errors"


def _format_space(space: int | None) -> str:
    from media_agent.setup.doctor import LEAST_FREE

    if space is None:
        return "an unknown amount is free"
    low = ", too little; media-agent prune frees some" if space < LEAST_FREE else ""
    return f"{format_size(space)} free{low}"


def _format_row(verdict: "Verdict") -> tuple[str, ...]:
    ready = str(len(verdict.ready)) if verdict.ready else "no"
    return verdict.backend, ready, verdict.missing or "-", verdict.mend or "-"


def _conclude(checkup: "Checkup") -> str:
    if checkup.can_make_video:
        return f"videos can be made with: {', '.join(checkup.makers)}"
    if checkup.makers:
        lack = "an encoder is missing" if not all(checkup.encoders.values()) else "signing fails"
        return f"no video can be made: {lack}"
    return "no video can be made yet, but by the sandbox, which draws its prompt as text"
