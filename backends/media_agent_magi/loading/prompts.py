"""Encoded prompts: kept in memory and on the disk, and made ahead of the chunk that needs them."""

import hashlib
import os
import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from media_agent.storage.files import write_atomically
from media_agent_magi.loading.text_encoder import Encode

IN_MEMORY, ON_DISK = 32, 256  # prompts


class EncodedPrompts:
    """Answers with the rows of a prompt, (tokens, width).

    The file of a prompt is named by its digest and holds the rows alone, not the prompt.
    """

    def __init__(self, encode: Encode, folder: Path | None, fingerprint: str) -> None:
        """Take what encodes, where rows are kept (None: nowhere), and what tells encoders apart."""
        self._encode, self._folder, self._fingerprint = encode, folder, fingerprint
        self._memory: OrderedDict[str, Tensor] = OrderedDict()
        self._lock = threading.Lock()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="magi-text")
        self._is_closed = False
        self._expected: dict[str, Future[None]] = {}

    def expect(self, prompts: Sequence[str]) -> None:
        """Encode prompts in the background, all with the encoder loaded once."""
        wanted = [p for p in dict.fromkeys(prompts) if p not in self._expected]
        wanted = [prompt for prompt in wanted if self._find(prompt) is None]
        if wanted:
            future = self._worker.submit(self._make, wanted)
            self._expected |= dict.fromkeys(wanted, future)

    def rows(self, prompt: str) -> Tensor:
        """Return the rows of a prompt, made now if nobody expected it.

        Raises:
            WeightsError: The encoder cannot be loaded.
        """
        future = self._expected.pop(prompt, None)
        if future is not None:
            future.result()
        found = self._find(prompt)
        if found is None:
            self._worker.submit(self._make, [prompt]).result()
            found = self._find(prompt)
        assert found is not None
        return found

    def close(self) -> None:
        """Stop behind the prompt at hand, and wait until the thread is gone."""
        self._is_closed = True
        self._worker.shutdown(cancel_futures=True)

    def _make(self, prompts: list[str]) -> None:
        for prompt, encoded in zip(prompts, self._encode(prompts), strict=True):
            self._keep(prompt, encoded.rows)
            if self._is_closed:
                return

    def _keep(self, prompt: str, rows: Tensor) -> None:
        self._remember(prompt, rows)
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_atomically(self._path(self._folder, prompt), save({"rows": rows}))
            self._forget_oldest(self._folder)

    def _find(self, prompt: str) -> Tensor | None:
        with self._lock:
            if prompt in self._memory:
                self._memory.move_to_end(prompt)
                return self._memory[prompt]
        if self._folder is None:
            return None
        path = self._path(self._folder, prompt)
        try:
            rows = load(path.read_bytes())["rows"]
            os.utime(path)  # so that what is used is not forgotten
        except (OSError, SafetensorError, KeyError):  # absent or damaged: it is made again
            return None
        self._remember(prompt, rows)
        return rows

    def _remember(self, prompt: str, rows: Tensor) -> None:
        with self._lock:
            self._memory[prompt] = rows
            while len(self._memory) > IN_MEMORY:
                self._memory.popitem(last=False)

    def _path(self, folder: Path, prompt: str) -> Path:
        digest = hashlib.sha256(f"{self._fingerprint}\n{prompt}".encode()).hexdigest()
        return folder / f"{digest}.safetensors"

    @staticmethod
    def _forget_oldest(folder: Path) -> None:
        files = sorted(folder.glob("*.safetensors"), key=lambda file: file.stat().st_mtime)
        for file in files[:-ON_DISK]:
            file.unlink(missing_ok=True)
