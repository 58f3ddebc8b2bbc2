"""What a video was made from, for its manifest: the provider's file, segments, source and inputs.

An input counts as long as it is the very file that was sent.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from media_agent.environment import expand_home
from media_agent.provenance.c2pa.manifest import Ingredient, name_input
from media_agent.storage.files import sha256_of
from media_agent.video.mp4.boxes import read_boxes
from media_agent_schemas.jobs import VideoJob
from media_agent_schemas.media import InputRole, MediaInput

_C2PA_BOX = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")


def list_ingredients(
    job: VideoJob,
    delivered: Path,
    *,
    digests: Mapping[str, str],
    segments: Sequence[Path] = (),
    joined_source: Path | None = None,
    is_joined: bool = False,
    is_segment: bool = False,
) -> Iterator[Ingredient]:
    """Yield the ingredients of a video, of which at most one is its parent.

    `delivered` is the file as the backend delivered it, `joined_source` where a source lies that
    was fetched. A segment has none of the inputs: they are those of the whole video.
    """
    if has_manifest(delivered):
        yield Ingredient(
            title="the video as its provider delivered it",
            relationship="componentOf" if is_joined else "parentOf",
            content=delivered,
        )
    for number, segment in enumerate(segments, start=1):
        yield Ingredient(f"segment {number}", "componentOf", segment)
    for number, medium in enumerate(() if is_segment else job.plan.request.inputs, start=1):
        title = name_input(number, medium)
        if is_joined and medium.role is InputRole.SOURCE_VIDEO:
            content = _find_content(medium, digests) or joined_source
            yield Ingredient(title, "parentOf", content, is_source=True)
            is_joined = False  # of several, the first is in front
        else:
            yield Ingredient(title, "inputTo", _find_content(medium, digests))


def has_manifest(path: Path) -> bool:
    """Return whether an MP4 has a box with a C2PA manifest."""
    with path.open("rb") as file:
        for box in read_boxes(file, 0, path.stat().st_size):
            if box.kind == b"uuid":
                file.seek(box.content)
                if file.read(len(_C2PA_BOX)) == _C2PA_BOX:
                    return True
    return False


def _find_content(medium: MediaInput, digests: Mapping[str, str]) -> Path | bytes | None:
    """Return an input as it was sent; None: it lies elsewhere, or has changed since."""
    if medium.path is None:
        return medium.data
    path = expand_home(medium.path)
    try:
        return path if digests.get(medium.path) in (None, sha256_of(path)) else None
    except (OSError, ValueError):
        return None
