"""A stand-in for the program of Open-Sora 2.0: the same command line, and no model.

What goes wrong on request is in a file "fault" in the working directory. Every run leaves what it
was asked for in "asked.json" there, and a file for each of its processes in "pids".
"""

import ast
import csv
import json
import os
import signal
import sys
import time
from pathlib import Path

FAULT = Path("fault").read_text().strip() if Path("fault").exists() else ""
SIZES = {
    ("256px", "16:9"): (336, 192),
    ("256px", "9:16"): (192, 336),
    ("256px", "1:1"): (256, 256),
    ("256px", "2.39:1"): (384, 160),
    ("256px", "4:3"): (288, 224),
    ("768px", "16:9"): (1024, 576),
    ("768px", "9:16"): (576, 1024),
    ("768px", "1:1"): (768, 768),
    ("768px", "2.39:1"): (1184, 496),
    ("768px", "4:3"): (880, 656),
}
CONDITIONS = (
    *("t2v", "i2v_head", "i2v_tail", "i2v_loop"),
    *("v2v_head", "v2v_tail", "v2v_head_easy", "v2v_tail_easy"),
)
SHORT = ("resolution", "aspect_ratio", "num_frames", "num_steps", "guidance", "guidance_img")
NOT_THERE = {"", "#N/A", "NA", "N/A", "n/a", "NULL", "null", "NaN", "nan", "None", "<NA>"}
RED = (200, 0, 0)  # what is made again of a reference
LEADER = os.environ["RANK"] == "0"


def say(text):
    if LEADER:
        print(f"\x1b[37m[2026-01-01 00:00:00]\x1b[34m INFO\x1b[0m {text}", flush=True)


def load(path):
    """Return the values of a configuration, over those that it is based on."""
    own = {}
    exec(path.read_text(), {}, own)
    bases = own.pop("_base_", [])
    values = {}
    for base in [bases] if isinstance(bases, str) else bases:
        merge(values, load(path.parent / base))
    merge(values, own)
    return values


def merge(values, more):
    for key, value in more.items():
        if isinstance(value, dict) and isinstance(values.get(key), dict):
            merge(values[key], value)
        else:
            values[key] = value


def guess(text):
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def parse(arguments):
    """Return the configuration, with its values replaced by the arguments, taken two by two."""
    values = load(Path(arguments[0]))
    for key, text in zip(arguments[1::2], arguments[2::2]):
        *way, name = key.lstrip("-").replace("-", "_").split(".")
        place = values
        for each in way:
            place = place.setdefault(each, {})
        if text.lower() == "none":
            place[name] = None
        elif not way and place.get(name) is not None:
            place[name] = type(place[name])(text)
        else:
            place[name] = guess(text)
    for name in SHORT:
        if name in values:
            values["sampling_option"][name] = values[name]
    return values


def read_table(path):
    """Return the rows of a file as pandas reads them: a column is of one type, if it can be."""
    with Path(path).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for name in rows[0]:
        texts = [row[name] for row in rows]
        for row, value in zip(rows, read_column(texts)):
            row[name] = value
    return rows


def read_column(texts):
    texts = [float("nan") if text in NOT_THERE else text for text in texts]
    try:
        return [float(text) for text in texts]
    except ValueError:
        pass
    if all(str(text).lower() in ("true", "false") for text in texts):
        return [text.lower() == "true" for text in texts]
    return texts


def read_reference(path, size):
    """Return the colour of each frame of an image or a video."""
    import av

    with av.open(path) as file:
        images = [image.reformat(*size, format="rgb24") for image in file.decode(video=0)]
    assert images, path
    return [bytes(image.reformat(2, 2, "rgb24").planes[0])[:3] for image in images]


def make_frames(values, row, size):
    """Return the colour of each frame."""
    option, condition = values["sampling_option"], values["cond_type"]
    seed = option["seed"]
    start = sum(str(row["text"]).encode()) * 7 + seed * 31
    shades = [(0, (start + 2 * index) % 200, 120) for index in range(option["num_frames"])]
    if condition == "t2v":
        return shades
    if not row.get("ref"):
        say("reference is empty, using t2v")
        return shades
    references = [read_reference(path, size) for path in row["ref"].split(";")]
    if condition.startswith("i2v"):
        if condition != "i2v_tail":
            shades[0] = tuple(references[0][0])
        if condition != "i2v_head":
            shades[-1] = tuple(references[-1][-1])
        return shades
    taken = 65 if "easy" in condition and len(references[0]) >= 64 else 33
    assert len(references[0]) >= taken, f"{len(references[0])} frames, not {taken}"
    if "head" in condition:
        return [RED] * taken + shades[taken:]
    return shades[: len(shades) - taken] + [RED] * taken


def write(path, colours, size):
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as file:
        options = {"crf": "23", "preset": "ultrafast"}
        stream = file.add_stream("libx264", rate=24, options=options)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.codec_context.thread_count = 1
        for colour in colours:
            image = av.VideoFrame(*size, "rgb24")
            line = (bytes(colour) * size[0]).ljust(image.planes[0].line_size, b"\0")
            image.planes[0].update(line * size[1])
            file.mux(stream.encode(image))
        file.mux(stream.encode(None))


def main():
    Path("pids").mkdir(exist_ok=True)
    Path("pids", f"worker-{os.getpid()}").touch()
    if FAULT == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    values = parse(sys.argv[1:])
    assert values["cond_type"] in CONDITIONS, values["cond_type"]
    if not LEADER:
        return
    say("Inference configuration:")
    say("Building dataset...")
    rows = read_table(values["dataset"]["data_path"])
    facts = {"arguments": sys.argv[1:], "values": values, "rows": rows}
    Path("asked.json").write_text(json.dumps({**facts, "environment": dict(os.environ)}))
    assert all(isinstance(row["text"], str) for row in rows), "a prompt is no text"
    say("Building models...")
    for name in ("model", "ae", "t5", "clip", "img_flux", "img_flux_ae"):
        if name in values:
            assert Path(values[name]["from_pretrained"]).exists(), values[name]
    if FAULT == "memory":
        print("[rank0]: torch.OutOfMemoryError: CUDA out of memory. Tried 2 GiB", file=sys.stderr)
        sys.exit(1)
    option = values["sampling_option"]
    size = SIZES[option["resolution"], option["aspect_ratio"]]
    for number, row in enumerate(rows):
        make(values, row, number, size)
    say("Inference finished.")


def make(values, row, number, size):
    option = values["sampling_option"]
    folder = Path(values["save_dir"], f"video_{option['resolution']}")
    name = row.get("name") or f"{Path(values['dataset']['data_path']).stem}_{number:04d}"
    if values.get("use_t2i2v"):
        say("Generating image condition by flux...")
        picture = Path(values["save_dir"], "generated_condition", f"{name}.png")
        picture.parent.mkdir(parents=True)
        picture.touch()
    sys.stderr.write(f"\rInference progress:   0%|          | {number}/1 [00:00<?, ?it/s]")
    say("Generating video...")
    while FAULT in ("hang", "stubborn"):
        time.sleep(0.05)
    colours = make_frames(values, row, size)
    if FAULT != "nothing":
        write(folder / f"{name}.mp4", colours, size)
        (folder / f"{name}.txt").write_text(row["text"])
    say(f"Saved to {folder / name}.mp4")
    sys.stderr.write("\rInference progress: 100%|##########| 1/1 [00:01<00:00, 1.0s/it]\n")


main()
