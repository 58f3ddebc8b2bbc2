"""Access tokens that a program prints, such as `gcloud auth print-access-token`."""

import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence

from media_agent.errors import BackendAuthenticationError
from media_agent_hosted.http.auth import Token

_SECONDS = 60.0  # that the program may take
_GOOD_FOR = 1800.0  # seconds; shorter than any service gives, and a refused token is renewed anyway

Environment = Callable[[Iterable[str]], Mapping[str, str]]


def run_for_token(
    command: Sequence[str], environment: Environment | None, now: float, *names: str
) -> Token:
    """Run a program and return the token on the first line that it prints.

    It gets harmless variables, and those of these names.

    Raises:
        BackendAuthenticationError: it cannot be run, fails, or prints no token.
    """
    variables = None if environment is None else dict(environment(names))
    try:
        done = subprocess.run(
            command, capture_output=True, env=variables, timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _failed(command, type(error).__name__) from None
    lines = done.stdout.decode("ascii", "replace").split()
    if done.returncode != 0 or len(lines) != 1 or not lines[0].isprintable():
        raise _failed(command, f"exit code {done.returncode}, {len(lines)} words")
    return Token(lines[0], now + _GOOD_FOR)


def _failed(command: Sequence[str], why: str) -> BackendAuthenticationError:
    return BackendAuthenticationError(
        f"{command[0]} gives no access token ({why})",
        hint=f"run it by hand: {' '.join(command)}",
    )
