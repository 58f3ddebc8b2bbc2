"""Writes weights of a folder as GGUF files, as programs that make such files do."""

from pathlib import Path

import numpy as np

ORIGINAL_WAN = {
    "condition_embedder.time_embedder.linear_1": "time_embedding.0",
    "condition_embedder.time_embedder.linear_2": "time_embedding.2",
    "condition_embedder.text_embedder.linear_1": "text_embedding.0",
    "condition_embedder.text_embedder.linear_2": "text_embedding.2",
    "condition_embedder.time_proj": "time_projection.1",
    "attn1": "self_attn",
    "attn2": "cross_attn",
    ".to_q.": ".q.",
    ".to_k.": ".k.",
    ".to_v.": ".v.",
    ".to_out.0.": ".o.",
    ".norm2.": ".norm3.",
    "ffn.net.0.proj": "ffn.0",
    "ffn.net.2": "ffn.2",
    "proj_out": "head.head",
}
"""What the authors of Wan call what diffusers calls otherwise, but for the two below."""


def name_as_the_authors_of_wan(name: str) -> str:
    if name == "scale_shift_table":
        return "head.modulation"
    name = name.replace("scale_shift_table", "modulation")
    for theirs, original in ORIGINAL_WAN.items():
        name = name.replace(theirs, original)
    return name


def write_gguf(
    path: Path, folder: Path, component: str = "transformer", *, architecture: str = "wan"
) -> Path:
    """Write the weights of a component: Q8_0 where rows can be cut in blocks, else F16 or F32."""
    import gguf
    from safetensors.numpy import load_file

    q8 = gguf.GGMLQuantizationType.Q8_0
    writer = gguf.GGUFWriter(path, architecture)
    weights = load_file(folder / component / "diffusion_pytorch_model.safetensors")
    for own, values in weights.items():
        name = name_as_the_authors_of_wan(own) if architecture == "wan" else own
        if values.ndim == 2 and values.shape[1] % 32 == 0:
            writer.add_tensor(name, gguf.quantize(values, q8), raw_dtype=q8)
        else:
            writer.add_tensor(name, values.astype(np.float16 if values.ndim > 1 else np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
