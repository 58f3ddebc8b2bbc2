"""Models filled from files, held in parts, and prompts encoded ahead."""

import shutil
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import wait
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from media_agent.errors import BackendUnavailableError
from media_agent_magi import computing
from media_agent_magi.engine.cache import KVCache
from media_agent_magi.engine.fp8 import Fp8Linear
from media_agent_magi.generating.engine import Engine
from media_agent_magi.generating.family import WeightsError
from media_agent_magi.loading.blocks import StreamedBlocks
from media_agent_magi.loading.cleaning import find_deleted, is_readable
from media_agent_magi.loading.host_cache import HostCache
from media_agent_magi.loading.memory import Holding
from media_agent_magi.loading.packed import unpack
from media_agent_magi.loading.prompts import EncodedPrompts
from media_agent_magi.loading.text_encoder import (
    EncodedText,
    Int8Linear,
    Precision,
    TextEncoder,
    TransformersFiles,
    encode,
)
from media_agent_magi.loading.text_files import TextFiles
from media_agent_magi.magi import loader
from media_agent_magi.magi.folder import MagiFolder
from media_agent_magi.magi.loader import load_magi
from tests.magi.loads import another_loads
from tests.magi.pretended_gpu import pretended_gpu
from tests.magi.released import CAPTIONS, LENGTH, WIDTH, write_release

RED, BLUE = CAPTIONS[:2]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> MagiFolder:
    return MagiFolder.find(write_release(tmp_path_factory.mktemp("loading")))


def load(folder: MagiFolder, holding: Holding = Holding()) -> Engine:  # noqa: B008 - frozen
    return load_magi(folder, "magi/small", holding, device="cpu")


def latents(engine: Engine) -> Tensor:
    return torch.cat([c.latents for c in engine.video(lambda i: RED if i < 2 else None, (1,))], 2)


def test_a_thread_that_loads_another_model_changes_no_latents(folder: MagiFolder) -> None:
    engine = load(folder)
    plain = latents(engine)
    with another_loads():
        again = latents(engine)

    assert torch.equal(plain, again)


def test_however_a_model_is_held_its_video_is_the_same(folder: MagiFolder) -> None:
    whole = latents(load(folder))

    assert torch.equal(latents(load(folder, Holding(ring_on_device=False))), whole)
    streamed = latents(load(folder, Holding(blocks_on_device=False, tiles_at_once=False)))
    assert torch.equal(streamed, whole)


def test_tiles_decoded_as_batches_are_those_decoded_one_by_one(folder: MagiFolder) -> None:
    noise = torch.randn(1, 16, 6, 20, 20, generator=torch.Generator().manual_seed(1))
    batched = load(folder).models.open_decoder(None).decode(noise)

    single = load(folder, Holding(tiles_at_once=False)).models.open_decoder(None).decode(noise)

    assert batched.shape == (1, 3, 24, 160, 160)
    torch.testing.assert_close(batched, single, atol=1e-5, rtol=1e-5)


def test_quantised_weights_are_loaded_as_they_are(tmp_path: Path) -> None:
    folder = MagiFolder.find(write_release(tmp_path, quantised=True))
    engine = load(folder)

    kinds = [type(m) for m in engine.models.transformer.modules() if isinstance(m, Fp8Linear)]
    assert len(kinds) == 7  # of the one block that is neither first nor last
    assert latents(engine).isfinite().all()


def test_a_packed_shard_is_unpacked_once(folder: MagiFolder, tmp_path: Path) -> None:
    import zstandard

    root = shutil.copytree(folder.weights.parents[2], tmp_path / "ckpt")
    shard = next((Path(root) / "magi" / "small").glob("*/model-00001*"))
    content = shard.read_bytes()
    packed = shard.with_name(f"{shard.name}.zst")
    packed.write_bytes(zstandard.ZstdCompressor().compress(content))
    shard.unlink()

    engine = load(MagiFolder.find(Path(root) / "magi" / "small"))

    assert shard.read_bytes() == content
    assert torch.equal(latents(engine), latents(load(folder)))


def test_a_packed_shard_that_is_cut_off_leaves_nothing_behind(tmp_path: Path) -> None:
    import zstandard

    packed = tmp_path / "model.safetensors.zst"
    packed.write_bytes(b"no zstd at all")

    with pytest.raises(WeightsError, match=r"model.safetensors.zst is damaged or cut off"):
        unpack(packed)
    assert list(tmp_path.iterdir()) == [packed]
    assert zstandard  # it is there, so that this is no lack of it


def test_streamed_blocks_keep_two_on_the_device(folder: MagiFolder) -> None:
    blocks = [nn.Linear(8, 8) for _ in range(5)]
    each = sum(p.nbytes for p in blocks[0].parameters())
    x = torch.randn(1, 8)
    with torch.no_grad():
        expected = nn.Sequential(*blocks)(x)
        streamed, seen = StreamedBlocks(blocks, torch.device("cpu")), []
        for _ in range(2):
            out = x
            for block in blocks:
                out = block(out)
                seen.append(streamed.bytes_on_device())

    assert torch.equal(out, expected)
    assert max(seen) <= 2 * each


def test_keys_in_the_main_memory_are_those_on_the_device() -> None:
    plain, host = KVCache(), HostCache(torch.device("cpu"))
    generator = torch.Generator().manual_seed(0)
    for cache in (plain, host):
        generator.manual_seed(0)
        for start in (0, 4, 8):
            keys, values = torch.randn(2, 1, 4, 2, 8, generator=generator)
            cache.write(0, start, keys, values)
        cache.forget_before(4)
        cache.move_origin(1, 4, lambda entries: entries * 2)

    assert torch.equal(host.read(0, 0, 8), plain.read(0, 0, 8))


def encoder(folder: MagiFolder, precision: Precision) -> TextEncoder:
    return TextEncoder(TransformersFiles(TextFiles(folder.text)), LENGTH, precision)


def test_prompts_are_encoded_up_to_their_end(folder: MagiFolder) -> None:
    red, long = encode(encoder(folder, "float32"), [RED, RED * 20])

    assert red.rows.shape[0] < LENGTH == long.rows.shape[0]
    assert red.rows.shape[1] == WIDTH


def test_what_lies_behind_the_end_of_a_prompt_changes_nothing_before_it(
    folder: MagiFolder,
) -> None:
    padding = encoder(folder, "float32")
    bare = replace(padding, pads=False)

    ([padded], [plain]) = (list(encode(each, [RED])) for each in (padding, bare))

    torch.testing.assert_close(plain.rows, padded.rows, rtol=1e-5, atol=1e-5)
    assert padding.fingerprint() != bare.fingerprint()


def test_beside_a_gpu_all_cores_encode_text_and_only_what_is_read(
    folder: MagiFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[tuple[bool, int]] = []

    def fake(encoder: TextEncoder, prompts: Sequence[str]) -> Iterator[EncodedText]:
        made.append((encoder.pads, torch.get_num_threads()))
        yield from encode(encoder, prompts)

    monkeypatch.setattr(loader, "encode", fake)
    monkeypatch.setattr(computing, "usable_cores", lambda: 2)
    held = Holding(text_on_device=False)
    on_cpu = load(folder)
    with pretended_gpu():
        on_gpu = load_magi(folder, "magi/small", held, device="cuda")
    for engine in (on_cpu, on_gpu):
        engine.models.text_row(RED, None)

    assert made == [(True, 1), (False, 2)]


@pytest.mark.parametrize(("precision", "most"), [("bfloat16", 0.05), ("int8", 0.08)])
def test_smaller_numbers_say_nearly_the_same(
    folder: MagiFolder, precision: Precision, most: float
) -> None:
    [exact] = encode(encoder(folder, "float32"), [RED])
    [rounded] = encode(encoder(folder, precision), [RED])

    error = (rounded.rows - exact.rows).norm() / exact.rows.norm()
    assert 0 < error < most


def test_eight_bits_take_a_quarter_of_float32() -> None:
    layer = nn.Linear(64, 64)
    held = sum(b.nbytes for b in Int8Linear(layer).buffers() if b is not None)

    assert held < sum(p.nbytes for p in layer.parameters()) / 3


class Encoder:
    """Encodes as it is told to, and remembers what it was asked for."""

    def __init__(self) -> None:
        self.loads: list[list[str]] = []
        self.encoded: list[str] = []
        self.may = threading.Event()
        self.may.set()

    def __call__(self, prompts: Sequence[str]) -> Iterator[EncodedText]:
        self.loads.append(list(prompts))
        for prompt in prompts:
            assert self.may.wait(60)
            self.encoded.append(prompt)
            yield EncodedText(torch.full((len(prompt), 2), float(len(prompt))))


def test_expected_prompts_are_encoded_together_and_in_the_background(tmp_path: Path) -> None:
    model = Encoder()
    model.may.clear()
    prompts = EncodedPrompts(model, tmp_path, "x")

    prompts.expect([RED, BLUE, RED])
    assert model.encoded == []
    model.may.set()

    assert len(prompts.rows(BLUE)) == len(BLUE)
    assert len(prompts.rows(RED)) == len(RED)
    assert model.loads == [[RED, BLUE]]


def test_encoded_prompts_are_found_on_the_disk_by_the_same_encoder_only(tmp_path: Path) -> None:
    first, again, other = Encoder(), Encoder(), Encoder()
    EncodedPrompts(first, tmp_path, "x").rows(RED)

    EncodedPrompts(again, tmp_path, "x").rows(RED)
    EncodedPrompts(other, tmp_path, "y").rows(RED)

    assert (again.loads, other.loads) == ([], [[RED]])
    assert not any(RED.encode() in file.read_bytes() for file in tmp_path.iterdir())


def test_a_damaged_file_of_a_prompt_is_made_again(tmp_path: Path) -> None:
    EncodedPrompts(Encoder(), tmp_path, "x").rows(RED)
    next(tmp_path.iterdir()).write_bytes(b"damaged")
    model = Encoder()

    assert len(EncodedPrompts(model, tmp_path, "x").rows(RED)) == len(RED)
    assert model.loads == [[RED]]


def test_closing_stops_behind_the_prompt_at_hand() -> None:
    model = Encoder()
    model.may.clear()
    prompts = EncodedPrompts(model, None, "x")
    prompts.expect([RED, BLUE])
    prompts.expect(["never begun"])

    closing = threading.Thread(target=prompts.close)
    closing.start()
    wait([prompts._expected["never begun"]], timeout=5)
    model.may.set()
    closing.join(5)

    assert model.loads == [[RED, BLUE]]
    assert not [each for each in threading.enumerate() if each.name.startswith("magi-text")]


def test_a_prompt_that_cannot_be_encoded_says_why() -> None:
    def fail(prompts: Sequence[str]) -> Iterator[EncodedText]:
        raise WeightsError("no encoder")

    prompts = EncodedPrompts(fail, None, "x")
    prompts.expect([RED])

    with pytest.raises(WeightsError, match="no encoder"):
        prompts.rows(RED)


def test_what_cleaning_deletes_is_known_before() -> None:
    assert find_deleted("小狗 a dog") == "小狗"
    assert find_deleted("über café") == ""
    assert not is_readable("小狗!")
    assert is_readable("小狗 a dog")


def test_a_kernel_that_is_not_here_is_an_error_before_anything_is_loaded(
    folder: MagiFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "magi_attention", None)

    with pytest.raises(BackendUnavailableError, match="no MagiAttention") as caught:
        load_magi(folder, "magi/small", Holding(), device="cpu", attention="magi")

    assert "--option attention" in str(caught.value.hint)
