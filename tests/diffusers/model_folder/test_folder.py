"""A folder of weights is known, and known to be whole, before anything heavy is imported."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from media_agent.errors import StorageError
from media_agent_diffusers.describe import describe
from media_agent_diffusers.model_folder.digests import DigestCache
from media_agent_diffusers.model_folder.folder import read_folder
from media_agent_schemas import Capabilities, InputRole, VideoMode

FolderOf = Callable[[str], Path]


def read_capabilities(path: Path) -> Capabilities:
    return describe("model", read_folder(path))


def edit_json(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(
    ("family", "mode", "roles", "rule", "fps"),
    [
        ("wan-2.2", VideoMode.TEXT_TO_VIDEO, (), (4, 1), 16.0),
        ("wan-i2v", VideoMode.IMAGE_TO_VIDEO, (InputRole.FIRST_FRAME,), (4, 1), 16.0),
        (
            "wan-flf2v",
            VideoMode.FIRST_LAST_FRAME,
            (InputRole.FIRST_FRAME, InputRole.LAST_FRAME),
            (4, 1),
            16.0,
        ),
        ("mochi", VideoMode.TEXT_TO_VIDEO, (), (6, 1), 30.0),
    ],
)
def test_the_files_say_what_a_model_can_do(
    folder_of: FolderOf,
    family: str,
    mode: VideoMode,
    roles: tuple[InputRole, ...],
    rule: tuple[int, int],
    fps: float,
) -> None:
    capabilities = read_capabilities(folder_of(family))

    assert capabilities.modes == (mode,)
    assert capabilities.input_roles == roles
    assert (capabilities.frame_multiple, capabilities.frame_offset) == rule
    assert capabilities.default_fps == fps
    assert capabilities.size_range is not None
    assert capabilities.size_range.multiple == 16
    assert capabilities.default_duration is not None
    frames = capabilities.default_duration * fps
    assert (frames - 1) % rule[0] == 0


def no_index(folder: Path) -> None:
    (folder / "model_index.json").unlink()


def index_no_json(folder: Path) -> None:
    (folder / "model_index.json").write_text("{")


def index_a_list(folder: Path) -> None:
    (folder / "model_index.json").write_text("[]")


def index_binary(folder: Path) -> None:
    (folder / "model_index.json").write_bytes(b"\xff\xfe\x00")


def other_family(folder: Path) -> None:
    edit_json(folder / "model_index.json", _class_name="FluxPipeline")


def no_such_pipeline(folder: Path) -> None:
    edit_json(folder / "model_index.json", _class_name="AcmeVideoPipeline")


def modular(folder: Path) -> None:
    (folder / "model_index.json").unlink()
    index = folder / "modular_model_index.json"
    index.write_text(json.dumps({"_class_name": "MiniMaxH3ModularPipeline"}))


def other_code(folder: Path) -> None:
    edit_json(folder / "model_index.json", transformer=["their_code", "Model"])


def no_transformer(folder: Path) -> None:
    edit_json(folder / "model_index.json", transformer=[None, None])


def no_vae(folder: Path) -> None:
    for path in (folder / "vae").iterdir():
        path.unlink()


def no_tokenizer(folder: Path) -> None:
    (folder / "tokenizer").rename(folder / "elsewhere")


def no_config(folder: Path) -> None:
    (folder / "vae" / "config.json").unlink()


def no_weights(folder: Path) -> None:
    weights(folder).unlink()


def only_pickles(folder: Path) -> None:
    weights(folder).rename(folder / "transformer" / "diffusion_pytorch_model.bin")


def cut_off(folder: Path) -> None:
    os.truncate(weights(folder), weights(folder).stat().st_size - 10)


def cut_off_in_the_header(folder: Path) -> None:
    os.truncate(weights(folder), 20)


def empty(folder: Path) -> None:
    os.truncate(weights(folder), 0)


def only_a_pointer(folder: Path) -> None:
    weights(folder).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")


def bad_header(folder: Path) -> None:
    weights(folder).write_bytes((4).to_bytes(8, "little") + b"[1 2")


def no_shard(folder: Path) -> None:
    index = folder / "transformer" / "diffusion_pytorch_model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "part-00002-of-00002.safetensors"}}))


def odd_config(folder: Path) -> None:
    edit_json(folder / "vae" / "config.json", scale_factor_temporal="four")


def deep_json(folder: Path) -> None:
    (folder / "vae" / "config.json").write_text("[" * 100_000)


def deep_header(folder: Path) -> None:
    weights(folder).write_bytes((100_000).to_bytes(8, "little") + b"[" * 100_000)


def edit_tensor(folder: Path, **changes: object) -> None:
    """Change what the header says of one tensor; None: it says nothing."""
    content = weights(folder).read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    name = next(key for key in header if key != "__metadata__")
    tensor = {**header[name], **changes}
    header[name] = {key: value for key, value in tensor.items() if value is not None}
    written = json.dumps(header).encode()
    start = len(written).to_bytes(8, "little")
    weights(folder).write_bytes(start + written + content[8 + length :])


def tensor_without_shape(folder: Path) -> None:
    edit_tensor(folder, shape=None)


def tensor_without_dtype(folder: Path) -> None:
    edit_tensor(folder, dtype=None)


def tensor_of_odd_dtype(folder: Path) -> None:
    edit_tensor(folder, dtype="F31")


def tensor_with_text_as_shape(folder: Path) -> None:
    edit_tensor(folder, shape=["x"])


def tensor_of_false_shape(folder: Path) -> None:
    edit_tensor(folder, shape=[10**9, 10**9])


def tensor_of_huge_shape(folder: Path) -> None:
    edit_tensor(folder, shape=[10**400])


def huge_shift(folder: Path) -> None:
    edit_json(folder / "scheduler" / "scheduler_config.json", flow_shift=10**400, shift=10**400)


def name_with_nul(folder: Path) -> None:
    edit_json(folder / "model_index.json", **{"a\0b": ["diffusers", "X"]})


def weights(folder: Path) -> Path:
    return folder / "transformer" / "diffusion_pytorch_model.safetensors"


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (no_index, "it has no model_index.json"),
        (index_no_json, "model_index.json is no JSON"),
        (index_a_list, "model_index.json is no JSON object"),
        (index_binary, "model_index.json is no JSON"),
        (other_family, "its pipeline FluxPipeline makes images"),
        (no_such_pipeline, "its pipeline 'AcmeVideoPipeline' is not known"),
        (modular, "MiniMaxH3ModularPipeline is a modular pipeline"),
        (other_code, r"transformer is of \['their_code'\], not of diffusers or transformers"),
        (no_transformer, "transformer missing"),
        (no_vae, "vae is missing or empty"),
        (no_tokenizer, "tokenizer is missing or empty"),
        (no_config, "vae missing or without config.json"),
        (no_weights, "transformer has no weights"),
        (only_pickles, "diffusion_pytorch_model.bin only, which can run code"),
        (cut_off, r"model.safetensors has \d+ of \d+ bytes"),
        (cut_off_in_the_header, "model.safetensors is cut off"),
        (empty, "model.safetensors is cut off"),
        (only_a_pointer, "only a pointer of Git LFS"),
        (bad_header, "has a damaged header"),
        (no_shard, "transformer/part-00002-of-00002.safetensors is missing"),
        (deep_json, "vae/config.json is no JSON"),
        (deep_header, "model.safetensors has a damaged header"),
        (tensor_without_shape, "model.safetensors has a damaged header"),
        (tensor_without_dtype, "model.safetensors has a damaged header"),
        (tensor_of_odd_dtype, "model.safetensors has a damaged header"),
        (tensor_with_text_as_shape, "model.safetensors has a damaged header"),
        (tensor_of_false_shape, "model.safetensors has a damaged header"),
        (tensor_of_huge_shape, "model.safetensors has a damaged header"),
        (huge_shift, "something impossible: OverflowError"),
        (name_with_nul, "is missing or empty"),
        (odd_config, "vae/config.json says scale_factor_temporal = 'four'"),
    ],
)
def test_a_damaged_folder_is_refused_and_the_reason_said(
    wan_copy: Path, damage: Callable[[Path], None], said: str
) -> None:
    damage(wan_copy)

    with pytest.raises(StorageError, match=said) as caught:
        read_capabilities(wan_copy)

    assert str(wan_copy) in caught.value.message
    assert caught.value.hint is not None


def test_a_folder_that_is_not_there_or_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")

    for path in (tmp_path / "nowhere", tmp_path / "file"):
        with pytest.raises(StorageError, match="there is no such folder"):
            read_folder(path)


def test_what_a_model_can_do_is_known_without_torch(folder_of: FolderOf, tmp_path: Path) -> None:
    program = """
import sys
from pathlib import Path
from media_agent.backend.protocol import BackendSettings
from media_agent_diffusers.backend import DiffusersBackend
settings = BackendSettings(data_dir=Path(sys.argv[1]), models={"wan": Path(sys.argv[2])})
assert DiffusersBackend(settings).capabilities("wan").frame_multiple == 4
print(*{"torch", "diffusers", "transformers", "numpy", "av", "PIL"} & sys.modules.keys())
"""

    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path), str(folder_of("wan"))],
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.strip() == ""


def manifest_digest(folder: Path) -> str:
    files = sorted(path.relative_to(folder).as_posix() for path in folder.glob("*/*.safetensors"))
    lines = [f"{hashlib.sha256((folder / f).read_bytes()).hexdigest()}  {f}\n" for f in files]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def test_the_digest_is_that_of_the_list_of_digests(folder_of: FolderOf, tmp_path: Path) -> None:
    folder = read_folder(folder_of("wan"))

    digest = DigestCache(tmp_path / "deep" / "digests.json").digest(folder, lambda: None)

    assert digest == manifest_digest(folder.path)


def test_weights_are_read_again_only_when_they_changed(wan_copy: Path, tmp_path: Path) -> None:
    cache = DigestCache(tmp_path / "digests.json")
    folder = read_folder(wan_copy)
    assert cache.find_known(folder) is None
    first = cache.digest(folder, lambda: None)

    again = DigestCache(tmp_path / "digests.json")
    reads: list[None] = []
    assert again.find_known(folder) == first
    assert again.digest(folder, lambda: reads.append(None)) == first
    assert reads == []

    content = bytearray(weights(wan_copy).read_bytes())
    content[-1] ^= 1
    weights(wan_copy).write_bytes(content)
    os.utime(weights(wan_copy), ns=(1, 1))

    assert again.find_known(folder) is None
    assert again.digest(folder, lambda: reads.append(None)) == manifest_digest(wan_copy) != first
    assert len(reads) == 1


@pytest.mark.parametrize("content", ["", "[]", '{"a": 1}', "\x00"])
def test_a_damaged_memory_of_digests_is_as_good_as_none(
    folder_of: FolderOf, tmp_path: Path, content: str
) -> None:
    (tmp_path / "digests.json").write_text(content)
    cache = DigestCache(tmp_path / "digests.json")
    folder = read_folder(folder_of("wan"))

    assert cache.find_known(folder) is None
    assert cache.digest(folder, lambda: None) == manifest_digest(folder.path)
