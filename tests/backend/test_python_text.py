"""Python text is read by one thread at a time."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from media_agent.backend.python_text import parse_python, read_literal


def test_only_one_thread_is_in_the_parser() -> None:
    inside, met, begin = threading.Semaphore(1), threading.Event(), threading.Barrier(2)

    def parse(text: str, **_: object) -> None:
        if not inside.acquire(blocking=False):
            met.set()  # the other one is inside as well
            return
        met.wait(0.02)
        inside.release()

    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(2) as threads:
        patch.setattr("ast.parse", parse)
        patch.setattr("ast.literal_eval", parse)
        for read in (parse_python, read_literal):
            threads.submit(lambda read=read: (begin.wait(1), read("1")))

    assert not met.is_set()


def test_a_text_is_read_and_errors_name_its_place(tmp_path: Path) -> None:
    assert read_literal("{'a': (1, None)}") == {"a": (1, None)}
    with pytest.raises(SyntaxError) as caught:
        parse_python("def", tmp_path / "odd.py")
    assert caught.value.filename == str(tmp_path / "odd.py")
