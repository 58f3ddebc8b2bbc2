"""Steering: what commands make of a video while it is made."""

import json
from collections.abc import Callable, Iterable

from pydantic import TypeAdapter

from media_agent.backend.context import GenerationContext
from media_agent.errors import StorageError
from media_agent.storage.files import write_atomically
from media_agent_schemas.jobs import ChangePrompt, Finish

_PROMPTS: TypeAdapter[dict[int, str]] = TypeAdapter(dict[int, str])
_LAST: TypeAdapter[int | None] = TypeAdapter(int | None)


class Steering:
    """What commands made of a video: other prompts from some chunk on, an early end.

    It is kept in the work folder, so that a video that goes on elsewhere stays as it was steered,
    also where the work had got farther than what is on disk.
    """

    def __init__(
        self,
        context: GenerationContext,
        *,
        chunks: int | None = None,
        on_prompt: Callable[[str], None] = lambda prompt: None,
    ) -> None:
        """Begin, or go on as kept; `chunks` is the length of the video, None if it is open.

        `on_prompt` hears of each prompt that is to hold, also of those that were kept.

        Raises:
            StorageError: what was kept cannot be read.
        """
        self._context = context
        self._chunks = chunks
        self._on_prompt = on_prompt
        self._path = context.work_dir / "steered.json"
        self._prompts: dict[int, str] = {}
        self._last: int | None = None  # the chunk that a command made the last one
        self._read()
        self._announce(self._prompts)  # a kill may have come before anybody heard of them

    def take(
        self,
        begun: int,
        *,
        last: int | None = None,
        change_now: Callable[[str], int] | None = None,
    ) -> None:
        """Do what the commands since the last call say; chunks below `begun` are begun.

        A video that is told to finish ends with chunk `last`, the next to be handed out; where it
        is not given, with the last that is begun. `change_now` gives a prompt to chunks in work and
        returns the first that has it.
        """
        for command in self._context.commands():
            match command:
                case Finish():
                    self._finish(max(0, begun - 1) if last is None else last)
                case ChangePrompt():
                    self._change(command, begun, change_now)

    def ends_before(self, chunk: int) -> bool:
        """Return whether the video has no such chunk, by its length or by a command."""
        end = self._chunks if self._last is None else self._last + 1
        return end is not None and chunk >= end

    def prompt(self, chunk: int) -> str | None:
        """Return the prompt that a command gave this chunk, None where it is the request's."""
        changed = max((first for first in self._prompts if first <= chunk), default=None)
        return None if changed is None else self._prompts[changed]

    def _finish(self, last: int) -> None:
        if self._last is None:  # else it was said before, maybe in a life that got farther
            self._last = last
            self._write()

    def _change(
        self, command: ChangePrompt, begun: int, change_now: Callable[[str], int] | None
    ) -> None:
        match command.at:
            case "next":
                first = begun
            case "now":
                first = begun if change_now is None else change_now(command.prompt)
            case first if first < begun:
                self._context.warn(f"the prompt did not change: chunk {first} was begun already")
                return
        if self.ends_before(first):
            self._context.warn(f"the prompt did not change: chunk {first} is not in the video")
            return
        changed = {first, *(chunk for chunk in self._prompts if first <= chunk <= begun)}
        self._prompts |= dict.fromkeys(changed, command.prompt)  # the last word counts
        self._write()
        self._announce(changed)

    def _announce(self, chunks: Iterable[int]) -> None:
        prompts = {chunk: self._prompts[chunk] for chunk in sorted(chunks)}
        for prompt in dict.fromkeys(prompts.values()):
            self._on_prompt(prompt)
        for chunk, prompt in prompts.items():
            self._context.announce_prompt(chunk, prompt)

    def _read(self) -> None:
        try:
            kept = json.loads(self._path.read_bytes())
            self._prompts = _PROMPTS.validate_python(kept["prompts"])
            self._last = _LAST.validate_python(kept["last"], strict=True)
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StorageError(
                f"{self._path} cannot be read: {error}",
                hint="remove it to go on with the prompts of the request",
            ) from error

    def _write(self) -> None:
        kept = {"prompts": self._prompts, "last": self._last}
        write_atomically(self._path, json.dumps(kept).encode())
