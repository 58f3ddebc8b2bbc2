"""The commands, and what happens when one of them fails: one line, an exit code, no traceback."""

import contextlib
import os
import sys
from collections.abc import Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, TextIO

from cyclopts import App, CycloptsError, MissingArgumentError

from media_agent.cli.commands.backends import backends
from media_agent.cli.commands.develop.completion import make_completion
from media_agent.cli.commands.develop.schema import print_schema, print_tools
from media_agent.cli.commands.develop.simulate import simulate
from media_agent.cli.commands.develop.verify_live import verify_live
from media_agent.cli.commands.jobs.costs import costs
from media_agent.cli.commands.jobs.disk import du, prune
from media_agent.cli.commands.jobs.jobs import build_jobs_app
from media_agent.cli.commands.jobs.stats import stats
from media_agent.cli.commands.jobs.usage import usage
from media_agent.cli.commands.models.models import build_models_app
from media_agent.cli.commands.plan import plan
from media_agent.cli.commands.servers.mcp import mcp
from media_agent.cli.commands.servers.serve import serve
from media_agent.cli.commands.servers.server_keys import build_server_keys_app
from media_agent.cli.commands.servers.webhooks import build_webhooks_app
from media_agent.cli.commands.servers.worker import worker
from media_agent.cli.commands.setup.catalogue import build_catalogue_app
from media_agent.cli.commands.setup.config import build_config_app
from media_agent.cli.commands.setup.doctor import doctor
from media_agent.cli.commands.setup.init import init
from media_agent.cli.commands.setup.keys import build_keys_app
from media_agent.cli.commands.videos.generate import generate
from media_agent.cli.commands.videos.inspect import inspect
from media_agent.cli.commands.videos.provenance import provenance
from media_agent.cli.commands.videos.steer import branch, extend, finish, steer
from media_agent.cli.commands.videos.watch import watch
from media_agent.cli.screen import guard_stdout, one_line, write_error, write_json_error
from media_agent.environment import variables

if TYPE_CHECKING:
    from media_agent_schemas.errors import ErrorInfo

_JSON = "--json"
_USAGE = 2
_INTERRUPTED = 130
_INTERNAL = 1


def _read_version() -> str:
    from media_agent.distribution import own_version

    return own_version() or "not installed"


@cache
def build_app() -> App:
    """Return the commands."""
    app = App(
        name="media-agent",
        help="Describe the video you want. media-agent picks a model, generates the video, and "
        "records exactly what it did.",
        version=_read_version,
        help_format="plaintext",
    )
    app.command(generate)
    app.command(plan)
    app.command(steer)
    app.command(finish)
    app.command(branch)
    app.command(extend)
    app.command(watch)
    app.command(inspect)
    app.command(provenance)
    app.command(serve)
    app.command(mcp)
    app.command(worker)
    app.command(build_server_keys_app())
    app.command(build_webhooks_app())
    app.command(backends)
    app.command(build_catalogue_app())
    app.command(doctor)
    app.command(build_config_app())
    app.command(init)
    app.command(build_jobs_app())
    app.command(costs)
    app.command(stats)
    app.command(usage)
    app.command(du)
    app.command(prune)
    app.command(build_keys_app())
    app.command(build_models_app())
    app.command(simulate)
    app.command(verify_live)
    app.command(print_tools, name="tools")
    app.command(print_schema, name="schema")
    app.command(make_completion(app), name="completion")
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code; absent arguments are those of the process."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    _replace_closed()
    with contextlib.ExitStack() as ending:
        return _run(words, ending)


def _run(words: Sequence[str], ending: contextlib.ExitStack) -> int:
    try:
        command, given, _ = build_app().parse_args(words, exit_on_error=False, print_error=False)
        run = partial(command, *given.args, **given.kwargs)
        is_help = isinstance(getattr(command, "__self__", None), App)  # which writes to stdout
        if not is_help:
            _start_telemetry(ending)
        code = run() if is_help else guard_stdout(run)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except BrokenPipeError:  # whoever read our output has gone
        _drop(sys.stdout)
        return _INTERNAL
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  # a user sees no traceback
        info, code = _explain(error)
        _report(info, in_json=_JSON in words)
        return code


def _start_telemetry(ending: contextlib.ExitStack) -> None:
    if any(name.startswith("OTEL_EXPORTER_OTLP") for name in variables()):
        from media_agent.telemetry.start import start

        stop = start()
        if stop is not None:
            ending.callback(stop)


def _report(info: "ErrorInfo", *, in_json: bool) -> None:
    """Say what went wrong, to whoever can still read it."""
    try:
        write_error(info)
    except OSError:
        _drop(sys.stderr)
    try:
        if in_json:
            write_json_error(info)
        sys.stdout.flush()
    except OSError:  # whoever read it has gone, or the disk of the file is full
        _drop(sys.stdout)


def _replace_closed() -> None:
    """Write to nowhere instead of to a stream that was closed before we were started."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115, PTH123  # until the process ends


def _drop(stream: TextIO) -> None:
    """Let what is left in the buffer of a stream go nowhere, instead of into a fault at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _explain(error: BaseException) -> "tuple[ErrorInfo, int]":
    """Return in words what went wrong, and the exit code."""
    from media_agent.error_codes import exit_code
    from media_agent.errors import JobCancelledError, MediaAgentError, to_info
    from media_agent.storage.files import as_storage_error
    from media_agent_schemas.errors import ErrorInfo

    match error:
        case KeyboardInterrupt():
            return to_info(JobCancelledError("stopped")), _INTERRUPTED
        case OSError():
            return _explain(as_storage_error(error.filename or "the output", error, "used"))
        case MediaAgentError():
            return to_info(error), exit_code(error)
        case CycloptsError():
            chain = error.command_chain or ()
            said = {
                "message": _quote(error, chain),
                "hint": f"{' '.join(('media-agent', *chain))} --help",
            }
            return ErrorInfo(code="invalid_request", **said), _USAGE
    if sys.flags.dev_mode:
        raise error
    said = {"message": one_line(f"a bug in media-agent: {type(error).__name__}: {error}")}
    return ErrorInfo(code="internal", **said, hint="python -X dev shows where"), _INTERNAL


def _quote(error: "CycloptsError", chain: Sequence[str]) -> str:
    """Return what is wrong with a command line, without what may be a key in it."""
    from media_agent.concealing import without_keys

    if "keys" in chain and not isinstance(error, MissingArgumentError):
        return "only the name of a backend is taken; the rest is not repeated, it may be a key"
    return without_keys(one_line(error))
