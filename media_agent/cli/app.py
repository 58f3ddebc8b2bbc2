"""The commands, and what happens when one of them fails: one line, an exit code, no traceback."""

import os
import sys
from collections.abc import Sequence
from functools import partial

from cyclopts import App, CycloptsError

from media_agent.cli.commands.backends import backends
from media_agent.cli.commands.config import build_config_app
from media_agent.cli.commands.costs import costs
from media_agent.cli.commands.disk import du, prune
from media_agent.cli.commands.generate import generate
from media_agent.cli.commands.init import init
from media_agent.cli.commands.jobs import build_jobs_app
from media_agent.cli.commands.keys import build_keys_app
from media_agent.cli.commands.models import build_models_app
from media_agent.cli.commands.plan import plan
from media_agent.cli.commands.schema import print_schema, print_tools
from media_agent.cli.commands.simulate import simulate
from media_agent.cli.commands.steer import branch, extend, finish, steer
from media_agent.cli.commands.verify_live import verify_live
from media_agent.cli.screen import guard_stdout, one_line, write_stderr

_USAGE = 2
_INTERRUPTED = 130
_INTERNAL = 1


def _read_version() -> str:
    from media_agent.distribution import own_version

    return own_version() or "not installed"


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
    app.command(backends)
    app.command(build_config_app())
    app.command(init)
    app.command(build_jobs_app())
    app.command(costs)
    app.command(du)
    app.command(prune)
    app.command(build_keys_app())
    app.command(build_models_app())
    app.command(simulate)
    app.command(verify_live)
    app.command(print_tools, name="tools")
    app.command(print_schema, name="schema")
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code; absent arguments are those of the process."""
    try:
        command, given, _ = build_app().parse_args(
            sys.argv[1:] if arguments is None else list(arguments),
            exit_on_error=False,
            print_error=False,
        )
        run = partial(command, *given.args, **given.kwargs)
        is_help = isinstance(getattr(command, "__self__", None), App)  # which writes to stdout
        code = run() if is_help else guard_stdout(run)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except KeyboardInterrupt:
        write_stderr("stopped")
        return _INTERRUPTED
    except BrokenPipeError:  # the reader of our output has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _INTERNAL
    except Exception as error:  # noqa: BLE001  # the last resort: a user never sees a traceback
        return _fail(error)


def _fail(error: Exception) -> int:
    """Say in one line what went wrong and return the exit code."""
    from media_agent.errors import MediaAgentError, exit_code, in_full

    match error:
        case MediaAgentError():
            write_stderr(f"error: {in_full(error)}")
            return exit_code(error)
        case OSError():
            from media_agent.storage.files import as_storage_error

            return _fail(as_storage_error(error.filename or "the output", error))
        case CycloptsError():
            write_stderr(f"error: {error} (media-agent --help)")
            return _USAGE
    if sys.flags.dev_mode:
        raise error
    said = one_line(f"{type(error).__name__}: {error}")
    write_stderr(f"error: a bug in media-agent: {said} (python -X dev shows where)")
    return _INTERNAL
