"""Weights in a GGUF file take the place of those of a folder; what is odd is refused before."""

import asyncio
import hashlib
import re
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from media_agent.backend.local import describe_missing
from media_agent.backend.protocol import BackendSettings
from media_agent.errors import BackendUnavailableError, ConfigurationError, StorageError
from media_agent.testing import events_of
from media_agent_diffusers.backend import DiffusersBackend
from media_agent_diffusers.describe import describe
from media_agent_diffusers.model_folder.folder import read_folder
from media_agent_diffusers.model_folder.gguf import _KINDS, read_gguf
from media_agent_diffusers.placement.plan import Activations, MemoryPlan
from media_agent_diffusers.placement.sizes import measure_components
from media_agent_diffusers.settings import DiffusersOptions
from media_agent_schemas.events import GgufWeights, JobFailed, JobProgressed
from tests.diffusers.families.folders import publish
from tests.diffusers.families.making import Maker, frames_of
from tests.diffusers.lora.test_lora_backend import write_lora
from tests.diffusers.model_folder.gguf_files import write_gguf

FolderOf = Callable[[str], Path]
pytest.importorskip("gguf")


@dataclass(frozen=True)
class Packed:
    """A folder that lacks the weights of its transformers, and files that have them."""

    whole: Path
    folder: Path
    files: dict[str, Path]


@pytest.fixture(scope="module")
def pack(folder_of: FolderOf, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Packed]:
    root = tmp_path_factory.mktemp("gguf")
    done: dict[str, Packed] = {}

    def make(family: str) -> Packed:
        if family not in done:
            whole, folder = folder_of(family), publish(folder_of(family), root / family)
            files = {}
            for weights in folder.glob("transformer*/*.safetensors"):
                name = weights.parent.name
                path = root / f"{family}-{name}.gguf"
                architecture = "wan" if family.startswith("wan") else "ltxv"
                files[name] = write_gguf(path, folder, name, architecture=architecture)
                weights.unlink()
            done[family] = Packed(whole, folder, files)
        return done[family]

    return make


@pytest.fixture
def make_maker(tmp_path: Path) -> Iterator[Callable[..., Maker]]:
    made: list[Maker] = []

    def make(packed: Packed, **options: Any) -> Maker:
        settings = BackendSettings(
            tmp_path,
            options,
            models={"packed": packed.folder, "whole": packed.whole},
            gguf={"packed": packed.files},
            threads=1,
        )
        made.append(Maker(DiffusersBackend(settings)))
        return made[-1]

    yield make
    for each in made:
        asyncio.run(each.backend.aclose())


@pytest.mark.anyio
@pytest.mark.parametrize(("family", "kind"), [("wan", "F16"), ("wan-2.2", "F16"), ("ltx", "Q8_0")])
async def test_files_make_nearly_the_video_of_the_whole_weights_and_the_record_names_them(
    pack: Callable[[str], Packed], make_maker: Callable[..., Maker], family: str, kind: str
) -> None:
    packed = pack(family)
    maker = make_maker(packed)

    done = await maker.make("packed")
    frames = frames_of(done).astype(int)

    whole = (await maker.make_frames("whole")).astype(int)
    assert not np.array_equal(frames, whole)
    assert np.abs(frames - whole).mean() < 16
    assert done.computation is not None
    assert done.computation.gguf == tuple(
        GgufWeights(
            component=name,
            file=file.name,
            kind=kind,
            sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
        )
        for name, file in packed.files.items()
    )
    assert ("transformer in Q8_0" in done.computation.dtype) is (kind == "Q8_0")
    capabilities = maker.backend.capabilities("packed")
    assert f"transformer from {packed.files['transformer']} in {kind}" in capabilities.description
    assert capabilities.weights_sha256 not in (
        None,
        maker.backend.capabilities("whole").weights_sha256,
    )


@pytest.mark.parametrize("family", ["wan", "ltx"])
def test_each_weight_is_that_of_the_file_whoever_named_it(
    pack: Callable[[str], Packed], family: str
) -> None:
    from diffusers.quantizers.gguf.utils import dequantize_gguf_tensor

    from media_agent_diffusers.pipelines.load import load_pipeline

    packed = pack(family)
    own = dict(
        load_pipeline(
            read_folder(packed.whole), {"default": "float32"}
        ).transformer.named_parameters()
    )

    read = load_pipeline(read_folder(packed.folder, packed.files), {"default": "float32"})

    for name, value in read.transformer.named_parameters():
        error = (dequantize_gguf_tensor(value) - own[name]).abs().max()
        assert error <= 0.01 * own[name].abs().max(), name


def test_memory_is_planned_for_what_the_file_takes(pack: Callable[[str], Packed]) -> None:
    from media_agent_diffusers.pipelines.load import load_pipeline

    folder = read_folder(pack("ltx").folder, pack("ltx").files)
    held = load_pipeline(folder, {"default": "bfloat16"}).transformer.parameters()
    file = folder.weights.gguf["transformer"]

    size = measure_components(folder, {"default": "bfloat16"})["transformer"]

    layer = 2 * max(tensor.numbers for tensor in file.tensors)  # while it computes
    assert size.total - layer == pytest.approx(sum(each.nbytes for each in held), rel=0.05)
    assert size.total - layer == pytest.approx(file.path.stat().st_size, rel=0.25)  # and a header
    assert size.largest > layer


def test_layers_of_such_weights_are_not_moved_one_by_one(
    pack: Callable[[str], Packed], monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from media_agent_diffusers.pipelines.loaded import LoadedModels

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    folder, work = read_folder(pack("wan").folder, pack("wan").files), Activations(0, 0)

    def plan(**options: Any) -> MemoryPlan:
        models = LoadedModels(DiffusersOptions(**options), measure=lambda device: 10**12)
        return models.plan("packed", folder, work)

    assert [step.offload for step in plan().rest] == ["model", "model"]
    with pytest.raises(ConfigurationError, match="'sequential' does not work with weights in GGUF"):
        plan(offload="sequential")


@pytest.mark.anyio
async def test_such_weights_are_not_held_in_8_bits(
    pack: Callable[[str], Packed], make_maker: Callable[..., Maker]
) -> None:
    done = await make_maker(pack("ltx"), fp8=True).make("packed")

    assert done.computation is not None
    assert "float8" not in done.computation.dtype
    assert done.warnings == ("fp8 has no effect: nothing of this model can be held in 8 bits",)


@pytest.mark.anyio
async def test_lora_weights_are_added_to_such_layers(
    pack: Callable[[str], Packed], make_maker: Callable[..., Maker], tmp_path: Path
) -> None:
    layers = ("transformer_blocks.0.attn1.to_q",)
    style = write_lora(tmp_path / "style.safetensors", layers, width=32)
    maker = make_maker(pack("ltx"), loras={"packed": {"style": str(style)}})

    plain = await maker.make_frames("packed")
    changed = await maker.make_frames("packed", options={"lora": "style"})

    assert not np.array_equal(plain, changed)


def test_the_digest_is_that_of_a_folder_with_the_file_in_it(
    pack: Callable[[str], Packed], make_maker: Callable[..., Maker]
) -> None:
    packed = pack("wan")
    maker = make_maker(packed)
    inside = {"transformer/" + packed.files["transformer"].name: packed.files["transformer"]}
    for file in packed.folder.glob("*/*.safetensors"):
        inside[file.relative_to(packed.folder).as_posix()] = file
    lines = [
        f"{hashlib.sha256(inside[name].read_bytes()).hexdigest()}  {name}\n"
        for name in sorted(inside)
    ]

    done = asyncio.run(maker.make("packed"))

    known = done.weights_sha256
    assert known == hashlib.sha256("".join(lines).encode()).hexdigest()


def test_without_the_package_the_command_that_installs_it_is_said(
    pack: Callable[[str], Packed], make_maker: Callable[..., Maker], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "gguf", None)
    describe_missing.cache_clear()
    maker = make_maker(pack("wan"))
    describe_missing.cache_clear()

    missing = maker.backend.capabilities("packed").missing
    assert missing is not None
    assert re.match(r"gguf: pip install .*\[diffusers\]", missing)
    assert maker.backend.capabilities("whole").missing is None
    with pytest.raises(BackendUnavailableError, match="diffusers needs gguf: pip install"):
        asyncio.run(maker.make("packed"))


@pytest.mark.anyio
async def test_weights_of_another_model_fail_the_job_and_name_the_file(
    pack: Callable[[str], Packed], make_maker: Callable[..., Maker], tmp_path: Path
) -> None:
    ltx = pack("ltx")
    other = write_gguf(tmp_path / "other.gguf", ltx.whole, architecture="unheard-of")
    maker = make_maker(replace(pack("wan"), files={"transformer": other}))

    request = maker.plan("packed").request
    events = await events_of(maker.backend, await maker.backend.submit(request, key="odd"))

    failed = events[-1]
    assert isinstance(failed, JobFailed)
    assert f"{other} does not fit its transformer" in failed.error.message
    assert not any(isinstance(each, JobProgressed) and each.phase == "denoising" for each in events)


@pytest.mark.parametrize(
    ("component", "architecture", "said"),
    [
        ("vae", "wan", "no GGUF file can be given for 'vae'"),
        ("transformer_2", "wan", "no GGUF file can be given for 'transformer_2'"),
        ("transformer", "ltxv", "has weights of 'ltxv', not of a WanTransformer3DModel"),
        ("transformer", "t5encoder", "has weights of 't5encoder', not of a WanTransformer3DModel"),
    ],
)
def test_a_file_for_something_else_is_refused_when_it_is_named(
    pack: Callable[[str], Packed], tmp_path: Path, component: str, architecture: str, said: str
) -> None:
    packed = pack("wan")
    file = write_gguf(tmp_path / "file.gguf", packed.whole, architecture=architecture)

    with pytest.raises(StorageError, match=re.escape(said)):
        read_folder(packed.whole, {component: file})


def test_a_class_that_diffusers_reads_from_no_file_is_named(
    pack: Callable[[str], Packed], folder_of: FolderOf
) -> None:
    with pytest.raises(StorageError, match="reads no GGUF file for UNetSpatioTemporalCondition"):
        read_folder(folder_of("svd"), {"unet": pack("wan").files["transformer"]})


def test_a_name_that_nobody_knows_is_left_to_diffusers(
    pack: Callable[[str], Packed], tmp_path: Path
) -> None:
    file = write_gguf(tmp_path / "own.gguf", pack("wan").whole, architecture="somebodys-own")

    assert (
        "own.gguf"
        in describe("model", read_folder(pack("wan").folder, {"transformer": file})).description
    )


def test_a_file_that_is_not_there_is_named(pack: Callable[[str], Packed], tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"there is no file .*/gone\.gguf"):
        read_folder(pack("wan").folder, {"transformer": tmp_path / "gone.gguf"})


def test_a_file_in_the_folder_is_proposed_where_weights_are_missing(
    pack: Callable[[str], Packed], tmp_path: Path
) -> None:
    copy = publish(pack("wan").folder, tmp_path / "copy")
    file = copy / "wan-q8.gguf"
    file.write_bytes(pack("wan").files["transformer"].read_bytes())

    with pytest.raises(StorageError) as refused:
        read_folder(copy)

    assert "transformer has no weights" in refused.value.message
    assert f"models add {copy} --gguf transformer={file}" in (refused.value.hint or "")


def test_files_for_a_model_without_a_folder_are_told(tmp_path: Path) -> None:
    options: Any = {"gguf": {"wan": {"transformer": "wan.gguf"}}}

    backend = DiffusersBackend(BackendSettings(tmp_path, options))

    with pytest.raises(StorageError, match="GGUF files for the model wan, and no folder"):
        backend.capabilities("wan")


def test_the_kinds_of_numbers_are_those_of_the_format_that_diffusers_reads() -> None:
    import gguf
    from diffusers.quantizers.gguf.utils import SUPPORTED_GGUF_QUANT_TYPES

    plain = {gguf.GGMLQuantizationType.F32, gguf.GGMLQuantizationType.F16}
    assert set(_KINDS) == {int(kind) for kind in {*SUPPORTED_GGUF_QUANT_TYPES, *plain}}
    for number, (name, block, width) in _KINDS.items():
        kind = gguf.GGMLQuantizationType(number)
        assert (kind.name, gguf.GGML_QUANT_SIZES[kind]) == (name, (block, width))


def text(words: str) -> bytes:
    return len(words).to_bytes(8, "little") + words.encode()


def head(*, version: int = 3, tensors: int = 0, values: int = 0) -> bytes:
    counts = tensors.to_bytes(8, "little") + values.to_bytes(8, "little")
    return b"GGUF" + version.to_bytes(4, "little") + counts


def tensor(kind: int = 0, shape: tuple[int, ...] = (32,)) -> bytes:
    sizes = b"".join(size.to_bytes(8, "little") for size in shape)
    numbers = len(shape).to_bytes(4, "little"), sizes, kind.to_bytes(4, "little"), bytes(8)
    return text("layer.weight") + b"".join(numbers)


def value(name: str, kind: int, data: bytes) -> bytes:
    return text(name) + kind.to_bytes(4, "little") + data


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is cut off"),
        (b"PK\x03\x04 a zip", "is no GGUF file"),
        (b"version https://git-lfs", "is only a pointer of Git LFS"),
        (head(version=1), "is of version 1 of GGUF"),
        (head(), "has no weights"),
        (head(tensors=1), "is cut off"),
        (head(tensors=2**60) + tensor(), "is cut off"),
        (head(tensors=1) + tensor(16), r"stores layer.weight in a way .* \(type 16 of GGUF\)"),
        (head(tensors=1) + tensor(8, (33,)), "damaged"),
        (head(tensors=1) + tensor(shape=()), "damaged"),
        (head(tensors=1) + tensor() + bytes(40), "is cut off: it has"),
        (head(values=1) + value("x", 77, b""), "damaged"),
        (head(values=1) + value("x", 9, (0).to_bytes(4, "little") + b"\xff" * 8), "is cut off"),
        (
            head(tensors=1, values=1) + value("general.alignment", 4, bytes(4)) + tensor(),
            "damaged",
        ),
        (
            head(tensors=1, values=1) + value("split.count", 2, b"\x03\x00") + tensor(),
            "is one of 3 files; merge them",
        ),
    ],
)
def test_a_damaged_file_says_what_is_wrong(tmp_path: Path, data: bytes, said: str) -> None:
    file = tmp_path / "odd.gguf"
    file.write_bytes(data)

    with pytest.raises(ValueError, match=said):
        read_gguf(file)


def test_a_file_cut_off_anywhere_is_refused(pack: Callable[[str], Packed], tmp_path: Path) -> None:
    whole = pack("wan").files["transformer"].read_bytes()
    cut = tmp_path / "cut.gguf"

    for length in (*range(0, len(whole) - 32, max(1, len(whole) // 49)), len(whole) - 32):
        cut.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="cut off"):
            read_gguf(cut)


def test_values_of_every_kind_are_passed_over(tmp_path: Path) -> None:
    words = (8).to_bytes(4, "little") + (2).to_bytes(8, "little") + text("a") + text("b")
    values = [
        value("tokens", 9, words),
        value("scores", 9, (6).to_bytes(4, "little") + (2).to_bytes(8, "little") + bytes(8)),
        value("count", 10, bytes(8)),
        value("general.architecture", 8, text("wan")),
    ]
    data = head(tensors=1, values=len(values)) + b"".join(values) + tensor()
    file = tmp_path / "file.gguf"
    file.write_bytes(data + bytes(-len(data) % 32 + 128))

    read = read_gguf(file)

    assert (read.architecture, read.kind, read.tensors[0].bytes) == ("wan", "F32", 128)


@pytest.mark.parametrize(
    "value",
    [
        (2**28).to_bytes(8, "little"),  # the length of a name
        bytes(8) + b"\x09\0\0\0" + b"\x00\0\0\0" + (2**28).to_bytes(8, "little"),  # of a list
    ],
    ids=["text", "list"],
)
def test_a_length_in_a_damaged_header_fills_no_memory(value: bytes, tmp_path: Path) -> None:
    path = tmp_path / "damaged.gguf"
    counts = (1).to_bytes(8, "little") * 2
    with path.open("wb") as file:
        file.write(b"GGUF" + (3).to_bytes(4, "little") + counts + value)
        file.truncate(2**29)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="damaged header"):
            read_gguf(path)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()
