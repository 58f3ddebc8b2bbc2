"""Checkpoints of torch, read by their header and mapped."""

import tracemalloc
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import pytest
import torch
from torch import nn

from media_agent_magi.generating.family import WeightsError
from media_agent_magi.loading.pickled import read_pickled
from media_agent_magi.loading.stream import fill, on_meta


def save(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


def test_names_shapes_and_dtypes_are_those_that_torch_reads(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)).bfloat16()
    state = model.state_dict() | {"parameter": nn.Parameter(torch.zeros(2, 1).half())}
    files = read_pickled(save(tmp_path / "model.pt", OrderedDict(state)))

    assert {n: f.shape for n, f in files.tensors.items()} == {
        n: tuple(t.shape) for n, t in state.items()
    }
    assert files.tensors["0.weight"].dtype == "BF16"
    assert files.tensors["1.num_batches_tracked"].dtype == "I64"
    assert files.tensors["parameter"].dtype == "F16"


def test_a_model_is_filled_from_its_entry_alone(tmp_path: Path) -> None:
    wanted, other = nn.Linear(3, 4), nn.Linear(3, 4)
    file = save(
        tmp_path / "model.pt",
        {
            "generator": {f"model.{n}": t for n, t in wanted.state_dict().items()},
            "critic": {f"model.{n}": t for n, t in other.state_dict().items()},
            "step": 12,
        },
    )
    model = on_meta(lambda: nn.Linear(3, 4))
    fill(model, read_pickled(file, "generator", "model."), lambda name, tensor: tensor)

    assert torch.equal(model.weight, wanted.weight)


def test_only_the_header_that_torch_reads_is_read(tmp_path: Path) -> None:
    file = save(tmp_path / "model.pt", {"weight": torch.zeros(9)})
    other = save(tmp_path / "other.pt", {"another": torch.zeros(9)})
    decoy = tmp_path / "decoy.pt"
    with ZipFile(file) as model, ZipFile(other) as hidden, ZipFile(decoy, "w") as made:
        made.writestr("model/inner/data.pkl", hidden.read("other/data.pkl"))
        for member in model.infolist():
            made.writestr(member.filename, model.read(member))

    assert set(read_pickled(decoy).tensors) == {"weight"}


def test_two_files_with_the_same_names_are_told_apart(tmp_path: Path) -> None:
    one = read_pickled(save(tmp_path / "a.pt", {"weight": torch.zeros(9)}))
    two = read_pickled(save(tmp_path / "b.pt", {"weight": torch.ones(9)}))
    again = read_pickled(save(tmp_path / "a.pt", {"weight": torch.zeros(9)}))

    assert one.fingerprint == again.fingerprint != two.fingerprint


@pytest.mark.parametrize(
    ("content", "entry", "reason"),
    [
        ({"a": torch.zeros(1)}, "generator", "has no entry 'generator'; it holds tensors without"),
        ({"model": {"a": torch.zeros(1)}}, None, "holds entries and no tensors: model"),
        ({"a": torch.zeros(1), "step": 3}, None, "holds what are no tensors"),
        ([torch.zeros(1)], None, "holds no tensors by name"),
        ({0: torch.zeros(1)}, None, "holds no tensors by name"),
        (nn.Linear(1, 1), None, "holds torch.nn.modules.linear.Linear, and only tensors are read"),
    ],
)
def test_what_is_no_checkpoint_is_refused(
    tmp_path: Path, content: object, entry: str | None, reason: str
) -> None:
    file = save(tmp_path / "model.pt", content)

    with pytest.raises(WeightsError, match=reason):
        read_pickled(file, entry)


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "model.pt"
    file.write_bytes(b"no zip at all")

    with pytest.raises(WeightsError, match="cut off or damaged, or no file of torch"):
        read_pickled(file)


def test_an_encrypted_file_is_refused(tmp_path: Path) -> None:
    file = save(tmp_path / "model.pt", {"a": torch.zeros(1)})
    content = bytearray(file.read_bytes())
    for mark, flags in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        place = content.find(mark)
        while place >= 0:
            content[place + flags] |= 1
            place = content.find(mark, place + 4)
    file.write_bytes(content)

    with pytest.raises(WeightsError, match="no file of torch"):
        read_pickled(file)


def rewrite(file: Path, change: Callable[[str, bytes], bytes | None]) -> None:
    """Pack a file again with other members; None leaves one out."""
    with ZipFile(file) as old:
        members = [(each.filename, old.read(each)) for each in old.infolist()]
    with ZipFile(file, "w") as new:
        for name, content in members:
            changed = change(name, content)
            if changed is not None:
                new.writestr(name, changed)


def two_weights(folder: Path) -> Path:
    weights = {"first": torch.ones(1000), "second": torch.ones(1000)[100:300].reshape(10, 20)}
    return save(folder / "model.pt", {"generator": weights, "step": 7})


@pytest.mark.parametrize(
    ("kept", "reason"),
    [
        (3999, "1 of 2 tensors are not whole, first generator: second, which has 3999 bytes of"),
        (0, "first generator: second, which has 0 bytes of 4000"),
        (None, "first generator: second, which is missing"),
    ],
)
def test_a_tensor_whose_numbers_are_not_all_there_is_named(
    tmp_path: Path, kept: int | None, reason: str
) -> None:
    file = two_weights(tmp_path)

    def shorten(name: str, content: bytes) -> bytes | None:
        if name != "model/data/1":
            return content
        return None if kept is None else content[:kept]

    rewrite(file, shorten)

    with pytest.raises(WeightsError, match=f"model.pt is cut off or half downloaded: .*{reason}"):
        read_pickled(file, "generator")


def test_a_view_of_another_tensor_is_whole(tmp_path: Path) -> None:
    base = torch.arange(60.0).reshape(6, 10)
    views = {
        "base": base,
        "turned": base.T,
        "part": base[2:4, 3:],
        "one": base[5, 9],
        "no": base[:0],
    }

    files = read_pickled(save(tmp_path / "model.pt", views))

    assert files.tensors["turned"].shape == (10, 6)


def test_a_file_that_lost_bytes_in_its_middle_is_refused(tmp_path: Path) -> None:
    file = two_weights(tmp_path)
    whole = file.read_bytes()
    file.write_bytes(whole[:3000] + whole[4000:])

    with pytest.raises(WeightsError, match="cut off"):
        read_pickled(file, "generator")


def test_a_file_with_a_hole_where_a_piece_was_not_fetched_is_refused(tmp_path: Path) -> None:
    file = two_weights(tmp_path)
    whole = file.read_bytes()
    place = whole.index(b"model/data/1") - 30  # the member begins in front of its name
    file.write_bytes(whole[:place] + bytes(2000) + whole[place + 2000 :])

    with pytest.raises(WeightsError, match="first generator: second, which is not where it should"):
        read_pickled(file, "generator")


def test_no_number_is_read(tmp_path: Path) -> None:
    file = tmp_path / "model.pt"
    torch.save({f"weight{i}": torch.zeros(2**20) for i in range(16)}, file)
    tracemalloc.start()
    try:
        read_pickled(file)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 2**20 < file.stat().st_size // 60
