"""What commands say of themselves, and the scripts that complete them."""

import shutil
import subprocess
from collections.abc import Iterator
from typing import get_args

import pytest
from cyclopts import App

from media_agent.cli import main
from media_agent.cli.app import build_app
from media_agent.cli.arguments import Camera
from media_agent.cli.request.flags import VideoFlags
from media_agent_schemas.media import CameraMove, ResolutionTier

METAVARS = {"TEXT", "NAME", "NUMBER", "FILE", "FILE|URL", "FILE|-", "CHOICE", "WxH", "W:H"}
METAVARS |= {"next|now|CHUNKS"}


def commands(app: App) -> Iterator[App]:
    for name in app:
        if not name.startswith("-"):
            below = app[name]
            yield below
            yield from commands(below)


def helps() -> Iterator[tuple[str, str]]:
    """Yield the help of every argument, with the name of its command."""
    for command in commands(build_app()):
        if command.default_command is None:
            continue
        for argument in command.assemble_argument_collection(parse_docstring=True):
            yield str(command.name), argument.parameter.help or ""


def test_no_help_is_wrapped_twice() -> None:
    assert [(name, said) for name, said in helps() if "\n" in said] == []


def test_every_metavar_is_one_of_a_few(capsys: pytest.CaptureFixture[str]) -> None:
    import re

    for words in (["generate"], ["plan"], ["branch"], ["extend"], ["simulate"], ["verify-live"]):
        main([*words, "--help"])
        flags = re.findall(
            r"^│ [* ] ? ?--[^│]*? ([A-Z][\w|:-]*|next\S*)(?: |$)", capsys.readouterr().out
        )
        assert set(flags) <= METAVARS


def test_the_choices_are_those_of_the_schema() -> None:
    camera, _ = get_args(Camera)
    resolutions, _ = get_args(VideoFlags.__annotations__["resolution"])

    assert list(get_args(camera)) == list(CameraMove)
    assert list(get_args(resolutions)) == list(ResolutionTier)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_gets_a_script_that_knows_the_flags(
    shell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["completion", shell]) == 0

    script = capsys.readouterr().out
    assert "verify-live" in script
    assert "negative-prompt" in script
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=script.encode(), check=True)


def test_bash_completes_commands_flags_choices_and_files(
    capsys: pytest.CaptureFixture[str],
) -> None:
    main(["completion", "bash"])
    script = capsys.readouterr().out

    def completed(*words: str) -> set[str]:
        line = " ".join(f"'{word}'" for word in words)
        code = f"COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _media_agent"
        done = subprocess.run(
            ["bash", "-c", f'{script}\n{code}\nprintf "%s\\n" "${{COMPREPLY[@]}}"'],
            capture_output=True,
            check=True,
            text=True,
        )
        return set(done.stdout.split())

    assert completed("media-agent", "gen") == {"generate"}
    assert completed("media-agent", "generate", "--neg") == {"--negative-prompt"}
    assert completed("media-agent", "generate", "--camera", "pan") == {"pan_left", "pan_right"}
    assert "complete -o default -F _media_agent media-agent" in script
