"""The words of a program of the user's: how its section says them, and how a request fills them in.

A prompt is untrusted text: it fills a placeholder and nothing else, and an item that it begins
cannot become an option.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, JsonValue, field_validator

from media_agent.backend.declaration import Declaration, fill, find_first_frame, placeholder_values
from media_agent.builtin.program_environment import VariableName
from media_agent.errors import InvalidRequestError
from media_agent.storage.files import storage_errors
from media_agent_schemas.base import Seconds
from media_agent_schemas.media import MediaInput
from media_agent_schemas.request import VideoRequest

_OWN_PLACEHOLDERS = ("output", "work_dir", "prompt_file")
_FREE_TEXT = ("{prompt}", "{negative_prompt}")
_OPTION_SIGNS = ("-", "+", "@")  # @FILE: further words from a file, as many programs read it


class CommandOptions(Declaration):
    """The options of a program."""

    command: tuple[str, ...] = Field(
        min_length=1, description="The program and its words, with placeholders."
    )
    timeout: Seconds = Field(default=3600.0, description="It is stopped after so many seconds.")
    workers: int = Field(default=1, ge=1, le=64, description="How many may run at the same time.")
    env: tuple[VariableName, ...] = Field(
        default=(),
        description="Environment variables to pass on, in addition to the harmless ones.",
    )

    @field_validator("command")
    @classmethod
    def _check_command(cls, command: tuple[str, ...]) -> tuple[str, ...]:
        if not command[0] or "{" in command[0]:
            raise ValueError("its first item is the program itself, without placeholders")
        if not any("{output}" in item for item in command):
            raise ValueError(
                "{output} is used nowhere: the program needs to know where to write the video"
            )
        return command

    def list_templates(self) -> Iterator[str]:
        """Yield the words of the program."""
        yield from self.command

    @property
    def is_free(self) -> bool:
        """Whether a video costs nothing, so that a run that was lost may be repeated."""
        return not self.usd_per_video and not self.usd_per_second

    def list_own_placeholders(self) -> Iterable[str]:
        """Return the placeholders for files of this machine."""
        return _OWN_PLACEHOLDERS


@dataclass(frozen=True, slots=True)
class Words:
    """The program and its words."""

    words: list[str]
    prompts: tuple[str, ...] | None = None
    """Those that are among them; None: the program reads them elsewhere."""


def build_words(
    options: CommandOptions, request: VideoRequest, model: str, folder: Path, output: Path
) -> Words:
    """Return the program with its words filled in; one with an absent value is left out.

    What it reads of files, such as a first frame that came as bytes, is written to the folder.

    Raises:
        InvalidRequestError: the first frame is at a URL.
        StorageError: a file cannot be written.
    """
    values = placeholder_values(request, model)
    values |= {"output": str(output), "work_dir": str(folder)}
    values["first_frame"] = _prepare_image(find_first_frame(request), folder)
    if "prompt_file" in options.find_used_placeholders():
        values["prompt_file"] = str(_write(folder / "prompt.txt", str(values["prompt"])))
    words: list[str] = []
    prompts: tuple[str, ...] | None = None
    for template in options.command:
        word = fill(template, values)
        if word is None:
            continue
        words.append(_defuse(template, word))
        if template.startswith("{prompt}"):
            prompts = (words[-1],)
    return Words(words, prompts)


def _defuse(template: str, word: str) -> str:
    """Return the word, with a space before it if text from outside would make it an option."""
    is_free = template.startswith(_FREE_TEXT)
    return f" {word}" if is_free and word.startswith(_OPTION_SIGNS) else word


def _prepare_image(medium: MediaInput | None, folder: Path) -> JsonValue:
    """Return the file of the first frame, written first if it came as bytes."""
    if medium is None:
        return None
    if medium.path is not None:
        return str(Path(medium.path).absolute())
    if medium.data is None:
        raise InvalidRequestError(
            f"a program cannot read an image from the URL {medium.url}", hint="give it as a file"
        )
    path = folder / "first_frame"
    with storage_errors(str(path)):
        path.write_bytes(medium.data)
    return str(path)


def _write(path: Path, text: str) -> Path:
    with storage_errors(str(path)):
        path.write_text(text, encoding="utf-8")
    return path
