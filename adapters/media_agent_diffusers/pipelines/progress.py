"""Counts the steps of a pipeline, and says them; what is raised here stops the pipeline.

Pipelines open a progress bar for each run of their steps, all of them; most also call back after
each step. The bar tells when the prompt is read and when the steps are done, and counts where there
is no callback. Pipelines for long videos run their steps once for each window: these count on.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Self

OnStep = Callable[[int, int], None]
"""Hears how many steps are done, of how many; first of 0, when the steps begin."""


class StepCounter:
    """Counts over all windows of one call."""

    def __init__(self, on_step: OnStep, *, windows: int, has_callback: bool) -> None:
        self._on_step = on_step
        self._windows = windows
        self._has_callback = has_callback
        self._begun = 0
        self._steps = 0  # of the windows that have begun
        self._done = 0

    def open_bar(
        self, iterable: Iterable[Any] | None = None, total: int | None = None
    ) -> "_StepBar":
        """Stand in for `progress_bar` of a pipeline."""
        items = None if iterable is None else list(iterable)
        steps = len(items) if items is not None else (total or 0)
        self._done = self._steps  # some schedulers leave steps of the window before out
        self._steps += steps
        self._begun += 1
        self._expected = self._steps + max(0, self._windows - self._begun) * steps
        if self._begun == 1:
            self._say()
        return _StepBar(self, items)

    def after_step(self, pipe: Any, index: int, timestep: Any, state: dict[str, Any]) -> Any:
        """Stand in for `callback_on_step_end`."""
        self._count(1)
        return state

    def update(self, steps: int) -> None:
        """Count what a bar is told, where nobody calls back."""
        if not self._has_callback:
            self._count(steps)

    def _count(self, steps: int) -> None:
        self._done = min(self._done + steps, self._steps)
        self._say()

    def _say(self) -> None:
        self._on_step(self._done, self._expected)


class _StepBar:
    """What a pipeline takes for its progress bar."""

    def __init__(self, counter: StepCounter, items: list[Any] | None) -> None:
        self._counter = counter
        self._items = items

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def __iter__(self) -> Iterator[Any]:
        for item in self._items or ():
            yield item
            self.update()

    def update(self, n: int = 1) -> None:
        """Count a step."""
        self._counter.update(n)

    def set_postfix(self, *_: object, **__: object) -> None:
        """Show nothing."""

    def set_description(self, *_: object, **__: object) -> None:
        """Show nothing."""

    def close(self) -> None:
        """Have nothing to close."""
