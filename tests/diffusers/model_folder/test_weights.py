"""The weights that are checked are those that will be loaded, whatever else lies beside them."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from media_agent.errors import StorageError
from media_agent_diffusers.describe import describe
from media_agent_diffusers.model_folder.digests import DigestCache
from media_agent_diffusers.model_folder.folder import read_folder
from media_agent_diffusers.settings import DiffusersOptions

OWN = "diffusion_pytorch_model"
SINGLE = {"transformer": OWN, "vae": OWN, "text_encoder": "model"}


def put_variant(folder: Path, variant: str, *components: str) -> None:
    """Give the weights of some components the names of a variant; of all, if none is named."""
    for name in components or tuple(SINGLE):
        plain = folder / name / f"{SINGLE[name]}.safetensors"
        plain.rename(plain.with_suffix(f".{variant}.safetensors"))


def split_into_shards(folder: Path, variant: str = "") -> None:
    """Write the weights of the transformer and of the text encoder as two shards and an index."""
    from safetensors.torch import load_file, save_file

    for name in ("transformer", "text_encoder"):
        stem = SINGLE[name]
        whole = folder / name / f"{stem}.safetensors"
        tensors = load_file(whole)
        keys = sorted(tensors)
        places = {}
        for number, part in enumerate((keys[::2], keys[1::2]), start=1):
            shard = f"{stem}{variant}-0000{number}-of-00002.safetensors"
            file = folder / name / shard
            save_file({key: tensors[key] for key in part}, file, metadata={"format": "pt"})
            places |= dict.fromkeys(part, shard)
        index = folder / name / f"{stem}.safetensors.index{variant}.json"
        index.write_text(json.dumps({"metadata": {}, "weight_map": places}))
        whole.unlink()


def all_in_a_variant(folder: Path) -> None:
    put_variant(folder, "bf16")


def one_in_a_variant(folder: Path) -> None:
    put_variant(folder, "fp16", "transformer")


def variant_in_shards(folder: Path) -> None:
    split_into_shards(folder, ".bf16")
    put_variant(folder, "bf16", "vae")


def plain_in_shards(folder: Path) -> None:
    split_into_shards(folder)


def variant_beside_half_of_the_plain(folder: Path) -> None:
    shutil.copytree(folder, folder.with_name("all"))
    put_variant(folder, "fp16")
    shutil.copy(folder.with_name("all") / "vae" / f"{OWN}.safetensors", folder / "vae")


def half_a_variant_beside_the_plain(folder: Path) -> None:
    file = folder / "vae" / f"{OWN}.safetensors"
    shutil.copy(file, file.with_suffix(".fp16.safetensors"))
    file.with_suffix(".bf16-00001-of-00002.safetensors").write_bytes(b"cut off")


@pytest.mark.parametrize(
    ("arrange", "variant", "files"),
    [
        (all_in_a_variant, "bf16", f"transformer/{OWN}.bf16.safetensors"),
        (one_in_a_variant, "fp16", f"transformer/{OWN}.fp16.safetensors"),
        (variant_in_shards, "bf16", f"transformer/{OWN}.bf16-00001-of-00002.safetensors"),
        (plain_in_shards, None, f"transformer/{OWN}-00002-of-00002.safetensors"),
        (variant_beside_half_of_the_plain, "fp16", f"vae/{OWN}.fp16.safetensors"),
        (half_a_variant_beside_the_plain, None, f"vae/{OWN}.safetensors"),
    ],
)
def test_what_is_found_is_loaded_and_nothing_else(
    wan_copy: Path, tmp_path: Path, arrange: Callable[[Path], None], variant: str | None, files: str
) -> None:
    from media_agent_diffusers.pipelines.pipeline import LoadedPipeline

    arrange(wan_copy)
    folder = read_folder(wan_copy)

    assert folder.weights.variant == variant
    assert wan_copy / files in folder.weights.files
    assert (f"({variant})" in describe("wan", folder).description) is (variant is not None)
    for other in set(wan_copy.glob("*/*.safetensors")) - set(folder.weights.files):
        other.unlink()
    pipeline = LoadedPipeline(folder, DiffusersOptions(), threads=1)  # raises if any is missing
    pipeline.release()


def broken_in_the_variant(folder: Path) -> None:
    put_variant(folder, "bf16")
    os.truncate(folder / "vae" / f"{OWN}.bf16.safetensors", 100)


def shard_of_the_variant_missing(folder: Path) -> None:
    variant_in_shards(folder)
    (folder / "text_encoder" / "model.bf16-00002-of-00002.safetensors").unlink()


def shards_without_an_index(folder: Path) -> None:
    variant_in_shards(folder)
    (folder / "transformer" / f"{OWN}.safetensors.index.bf16.json").unlink()


def two_variants(folder: Path) -> None:
    put_variant(folder, "bf16", "transformer", "text_encoder")
    put_variant(folder, "fp16", "vae")


def own_name(folder: Path) -> None:
    (folder / "vae" / f"{OWN}.safetensors").rename(folder / "vae" / "wan_2.1_vae.safetensors")


def name_of_the_other_library(folder: Path) -> None:
    (folder / "text_encoder" / "model.safetensors").rename(
        folder / "text_encoder" / f"{OWN}.safetensors"
    )


def own_name_beside_a_variant(folder: Path) -> None:
    """Diffusers takes a component for one of the variant by any file that has it in its name."""
    put_variant(folder, "bf16", "transformer", "text_encoder")
    (folder / "vae" / "notes.bf16.txt").write_text("trained in bfloat16")


def index_without_names(folder: Path) -> None:
    (folder / "vae" / f"{OWN}.safetensors.index.json").write_text('{"weight_map": 3}')


def index_that_leads_outside(folder: Path) -> None:
    index = folder / "vae" / f"{OWN}.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": f"../vae/{OWN}.safetensors"}}))


@pytest.mark.parametrize(
    ("arrange", "said"),
    [
        (broken_in_the_variant, rf"vae/{OWN}.bf16.safetensors is cut off"),
        (shard_of_the_variant_missing, "text_encoder/model.bf16-00002-of-00002.safetensors is mis"),
        (shards_without_an_index, rf"transformer/{OWN}.safetensors.index.bf16.json is missing"),
        (two_variants, rf"vae/{OWN}.safetensors is missing; vae has {OWN}.fp16.safetensors"),
        (own_name, rf"vae/{OWN}.safetensors is missing; vae has wan_2.1_vae.safetensors"),
        (name_of_the_other_library, "text_encoder/model.safetensors is missing; text_encoder has"),
        (own_name_beside_a_variant, rf"vae/{OWN}.bf16.safetensors is missing"),
        (index_without_names, rf"vae/{OWN}.safetensors.index.json names no files"),
        (index_that_leads_outside, rf"vae/{OWN}.safetensors.index.json names no files"),
    ],
)
def test_what_would_not_be_loaded_is_refused_with_the_name_that_is_wanted(
    wan_copy: Path, arrange: Callable[[Path], None], said: str
) -> None:
    arrange(wan_copy)

    with pytest.raises(StorageError, match=said):
        read_folder(wan_copy)


def test_the_digest_is_of_the_files_that_are_loaded(wan_copy: Path, tmp_path: Path) -> None:
    digests = DigestCache(tmp_path / "digests.json")
    before = digests.digest(read_folder(wan_copy), lambda: None)

    half_a_variant_beside_the_plain(wan_copy)

    assert digests.digest(read_folder(wan_copy), lambda: None) == before
