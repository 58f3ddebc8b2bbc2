"""The command that prints what a shell needs to complete the others."""

from collections.abc import Callable
from typing import Literal

from cyclopts import App

from media_agent.cli.screen import write_raw_line


def make_completion(app: App) -> Callable[[Literal["bash", "zsh", "fish"]], int]:
    """Return the command that completes an app."""

    def completion(shell: Literal["bash", "zsh", "fish"], /) -> int:
        """Print the completion script of a shell.

        Args:
            shell: For bash, put eval "$(media-agent completion bash)" into ~/.bashrc.
        """
        script = app.generate_completion(shell=shell)
        write_raw_line(script.replace("complete -F", "complete -o default -F"))  # files elsewhere
        return 0

    return completion
