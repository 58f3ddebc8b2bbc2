"""How much main memory loading the 4.5B weights takes: `python benchmarks/load_peak.py FOLDER`.

Writes a checkpoint of full size without numbers, which takes no room on a disk that knows sparse
files, and loads it in a process of its own. Tensors that would go to a GPU are copied and let go.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from media_agent_magi.magi.config import RELEASED
from media_agent_magi.magi.table import Weight, parameter_table

NAME = "4.5B_base"
DTYPES = {"float32": "F32", "bfloat16": "BF16", "float8_e4m3fn": "F8_E4M3"}
SHARDS = 2


def write_sparse(folder: Path) -> int:
    """Write the shards and their index; return the bytes of the largest."""
    config = RELEASED[NAME]
    table = list(parameter_table(config.model, quantised=config.quantised).items())
    each = sum(weight.bytes for _, weight in table) / SHARDS
    shards: list[list[tuple[str, Weight]]] = [[] for _ in range(SHARDS)]
    done = 0
    for name, weight in table:
        shards[min(SHARDS - 1, int(done // each))].append((name, weight))
        done += weight.bytes
    places: dict[str, str] = {}
    for number, shard in enumerate(shards, start=1):
        file = f"model-{number:05}-of-{SHARDS:05}.safetensors"
        header: dict[str, object] = {}
        end = 0
        for name, weight in shard:
            start, end = end, end + weight.bytes
            header[name] = {
                "dtype": DTYPES[weight.dtype],
                "shape": list(weight.shape),
                "data_offsets": [start, end],
            }
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        with (folder / file).open("wb") as writer:
            writer.write(len(text).to_bytes(8, "little") + text)
            writer.truncate(8 + len(text) + end)
        places |= {name: file for name, _ in shard}
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": places}))
    return max(file.stat().st_size for file in folder.glob("*.safetensors"))


def load(folder: Path) -> None:
    """Load it as if to a GPU, and print the peak of this process in bytes."""
    import resource

    import torch
    from torch import Tensor

    from media_agent_magi.loading.headers import read_folder
    from media_agent_magi.loading.stream import fill
    from media_agent_magi.magi.loader import build

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    def place(name: str, tensor: Tensor) -> Tensor:
        tensor.clone()  # as the copy to a GPU reads it
        return torch.empty_like(tensor, device="meta")

    started = time.process_time()
    fill(build(RELEASED[NAME]), read_folder(folder), place)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = time.process_time() - started
    print(json.dumps({"peak": peak * 1024, "before": before * 1024, "seconds": seconds}))


def main() -> int:
    """Measure; the exit code is 1 if it took more than a shard and 2 GB."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="an empty folder on a disk, for 9 GB of nothing")
    parser.add_argument("--load", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.load:
        load(arguments.folder)
        return 0
    arguments.folder.mkdir(parents=True, exist_ok=True)
    shard = write_sparse(arguments.folder)
    said = subprocess.run(
        [sys.executable, __file__, "--load", str(arguments.folder)],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    found = json.loads(said)
    print(
        f"{NAME}: peak {found['peak'] / 1e9:.2f} GB ({found['before'] / 1e9:.2f} before), "
        f"largest shard {shard / 1e9:.2f} GB, {found['seconds']:.1f} s of CPU"
    )
    return 0 if found["peak"] <= shard + 2e9 else 1


if __name__ == "__main__":
    sys.exit(main())
