"""Steering: what commands make of a video while it is made."""

from collections.abc import Callable, Iterable

from pydantic import BaseModel, Field, StrictInt

from media_agent.backend.generating.context import GenerationContext
from media_agent.errors import StorageError
from media_agent.storage.files import write_atomically
from media_agent_schemas.jobs import ChangePrompt, Finish


class _Applied(BaseModel):
    """What commands made of a video, and which: written together, so that none counts twice."""

    command: StrictInt = 0
    """The number of the last that was applied."""
    prompts: dict[int, str] = Field(default_factory=dict)
    """By the first chunk that has them."""
    last: StrictInt | None = None
    """The chunk that a command made the last one."""


class Steering:
    """What commands made of a video: other prompts from some chunk on, an early end.

    It is kept in the work folder, so that a video that is resumed elsewhere stays as it was
    steered, also where the work had got farther than what is on disk. Commands themselves are not
    kept here: they come again, and those up to the number that is kept were applied before.
    """

    def __init__(
        self,
        context: GenerationContext,
        *,
        chunks: int | None = None,
        on_prompt: Callable[[str], None] = lambda prompt: None,
    ) -> None:
        """Begin, or resume as kept; `chunks` is the length of the video, None if it is open.

        `on_prompt` hears of each prompt that is to hold, also of those that were kept.

        Raises:
            StorageError: what was kept cannot be read.
        """
        self._context = context
        self._chunks = chunks
        self._on_prompt = on_prompt
        self._path = context.work_dir / "steered.json"
        self._applied = self._read()
        self._announce(self._applied.prompts)  # a kill may have come before anybody heard of them

    def take(
        self,
        begun: int,
        *,
        last: int | None = None,
        change_now: Callable[[str], int] | None = None,
    ) -> None:
        """Apply the commands since the last call; chunks below `begun` are begun.

        A video that is told to finish ends with chunk `last`, the next to be handed out; where it
        is not given, with the last that is begun. `change_now` gives a prompt to chunks in work and
        returns the first that has it.
        """
        for number, command in self._context.commands(after=self._applied.command):
            changed: set[int] = set()
            match command:
                case Finish():
                    self._finish(max(0, begun - 1) if last is None else last)
                case ChangePrompt():
                    changed = self._change(command, begun, change_now)
            self._applied.command = number
            write_atomically(self._path, self._applied.model_dump_json().encode())
            self._announce(changed)

    def ends_before(self, chunk: int) -> bool:
        """Return whether the video has no such chunk, by its length or by a command."""
        last = self._applied.last
        end = self._chunks if last is None else last + 1
        return end is not None and chunk >= end

    def prompt(self, chunk: int) -> str | None:
        """Return the prompt that a command gave this chunk, None where it is the request's."""
        prompts = self._applied.prompts
        changed = max((first for first in prompts if first <= chunk), default=None)
        return None if changed is None else prompts[changed]

    def _finish(self, last: int) -> None:
        if self._applied.last is None:  # the first such command counts
            self._applied.last = last

    def _change(
        self, command: ChangePrompt, begun: int, change_now: Callable[[str], int] | None
    ) -> set[int]:
        """Return the chunks from which on the prompt is another one now."""
        match command.at:
            case "next":
                first = begun
            case "now":
                first = begun if change_now is None else change_now(command.prompt)
            case first if first < begun:
                self._context.warn(f"the prompt did not change: chunk {first} was begun already")
                return set()
        if self.ends_before(first):
            self._context.warn(f"the prompt did not change: chunk {first} is not in the video")
            return set()
        changed = {first, *(chunk for chunk in self._applied.prompts if first <= chunk <= begun)}
        self._applied.prompts |= dict.fromkeys(changed, command.prompt)  # the last word counts
        return changed

    def _announce(self, chunks: Iterable[int]) -> None:
        prompts = {chunk: self._applied.prompts[chunk] for chunk in sorted(chunks)}
        for prompt in dict.fromkeys(prompts.values()):
            self._on_prompt(prompt)
        for chunk, prompt in prompts.items():
            self._context.announce_prompt(chunk, prompt)

    def _read(self) -> _Applied:
        try:
            return _Applied.model_validate_json(self._path.read_bytes())
        except FileNotFoundError:
            return _Applied()
        except (OSError, ValueError) as error:
            raise StorageError(
                f"{self._path} cannot be read: {error}",
                hint="remove it, and the commands are applied again",
            ) from error
