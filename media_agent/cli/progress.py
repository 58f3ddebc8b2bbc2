"""How far a job or a download is: a moving bar on a terminal, else a plain line now and then."""

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Self

from media_agent.cli.screen import format_size, is_quiet, one_line, write_stderr

if TYPE_CHECKING:
    from rich.progress import Progress

    from media_agent_schemas.events import JobEvent
    from media_agent_schemas.plan import Plan


class ProgressLine:
    """Shows the events of one job on stderr."""

    def __init__(self, plan: "Plan", *, frames: int = 0, follow: bool = False) -> None:
        """Start, or continue after so many frames.

        With `follow` every chunk has its line, and the growing video is named.
        """
        self._total = plan.request.num_frames
        self._fps = plan.request.fps
        self._follows = follow
        self._path: str | None = None
        self._name = f"{plan.backend}/{plan.model}"
        self._phase = self._message = ""
        self._frames = frames if plan.origin is None else max(frames, plan.origin.kept_frames)
        self._bar = _make_bar() if _is_terminal() and not follow and not is_quiet() else None
        if self._bar is not None:
            self._task = self._bar.add_task(self._name, total=1.0)

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, numbered: "JobEvent") -> None:
        """Show one event."""
        from media_agent_schemas.events import (
            ChunkReady,
            JobCompleted,
            JobProgressed,
            PromptChanged,
        )

        match numbered.event:
            case JobProgressed(phase=phase, fraction=fraction, message=message):
                self._show_phase(phase, fraction, message)
            case ChunkReady(index=index, frames=frames, path=path):
                self._show_chunk(index, frames)
                self._show_video(path)
            case PromptChanged(chunk=chunk, prompt=prompt):
                write_stderr(f"{self._name}: from chunk {chunk + 1} on: {prompt}")
            case JobCompleted() if self._bar is not None:
                self._bar.update(self._task, completed=1.0)
            case _:
                pass

    def _show_phase(self, phase: str, fraction: float | None, message: str | None) -> None:
        is_new, self._phase = phase != self._phase, phase
        self._message = "" if message is None or message == phase else message
        if self._bar is not None:
            self._bar.update(self._task, description=self._format_text(), completed=fraction)
        elif is_new:
            write_stderr(f"{self._name}: {phase}" + (f": {message}" if self._message else ""))

    def _show_chunk(self, index: int, frames: int) -> None:
        self._frames += frames
        if self._bar is not None:
            self._bar.update(self._task, description=self._format_text())
            return
        length = f", {self._frames / self._fps:.2f} s" if self._follows and self._fps else ""
        write_stderr(
            f"{self._name}: chunk {index + 1}, {self._frames}{self._format_total()} frames{length}"
        )

    def _show_video(self, path: str | None) -> None:
        if self._follows and path != self._path:
            self._path = path
            write_stderr(f"watch it while it is generated: {path}")

    def _format_text(self) -> str:
        text = f"{self._name}  {one_line(self._phase)}"
        text += f": {one_line(self._message)}" if self._message else ""
        # a program or a service reports no frames before its video is there
        return f"{text}  {self._frames}{self._format_total()} frames" if self._frames else text

    def _format_total(self) -> str:
        return "" if self._total is None else f" of {self._total}"


class BytesLine:
    """Shows how much of a download is there, on stderr: a moving bar, or a line every tenth."""

    def __init__(self, what: str, total: int) -> None:
        self._what = what
        self._total = max(1, total)
        self._sizes: dict[str, int] = {}
        self._tenth = 0
        self._bar = _make_bar() if _is_terminal() and not is_quiet() else None
        if self._bar is not None:
            self._task = self._bar.add_task(what, total=1.0)

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, file: str, size: int) -> None:
        """Show that so many bytes of a file are there."""
        self._sizes[file] = size
        came = sum(self._sizes.values())
        text = f"{self._what}  {format_size(came)} of {format_size(self._total)}"
        if self._bar is not None:
            share = min(1.0, came / self._total)
            self._bar.update(self._task, completed=share, description=text)
        elif came * 10 // self._total > self._tenth:
            self._tenth = came * 10 // self._total
            write_stderr(text)


def _is_terminal() -> bool:
    return sys.stderr.isatty()


def _make_bar() -> "Progress | None":
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    if not console.is_terminal or console.is_dumb_terminal:
        return None
    text = TextColumn("{task.description}", markup=False)
    share = TextColumn("{task.percentage:>3.0f}%")
    return Progress(text, BarColumn(), share, TimeElapsedColumn(), console=console)
