"""Models at fal whose fields we know, as data; any other id works too, with fields of its own.

Sources, read on 2026-11-20 (copies kept by others, none asked live):

* PAGE: the model's own pages at fal.ai: models/ID/llms.txt, models/ID/api, docs.
* TYPES: the endpoint types of the official JavaScript client @fal-ai/client 1.10.1, which write
  every closed list as texts, also of numbers.
* CLIENTS: what several public programs send.
* LITELLM: litellm 1.109.1, llms/fal_ai/videos.
* PRIOR: general knowledge, not found in any of these; a field that is wrong is answered with 422.

Prices are in fal.yaml. Frame rates without a field are nominal, and so are sizes: the record tells
what came.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from pydantic import JsonValue

from media_agent_schemas.capabilities import OptionSpec
from media_agent_schemas.media import InputRole, ResolutionTier
from media_agent_schemas.request import VideoMode

TYPES, PAGE, LITELLM = "@fal-ai/client 1.10.1", "its pages at fal.ai", "litellm 1.109.1"
CLIENTS, PRIOR = "public clients", "unverified"

TEXT, IMAGE = (VideoMode.TEXT_TO_VIDEO,), (VideoMode.IMAGE_TO_VIDEO,)
IMAGES = (VideoMode.IMAGE_TO_VIDEO, VideoMode.FIRST_LAST_FRAME)
EXTEND = (VideoMode.VIDEO_EXTEND,)


@dataclass(frozen=True, slots=True)
class Seconds:
    """The length is said in whole seconds, as a text or as a number."""

    values: tuple[int, ...]
    default: int
    as_text: bool = True


@dataclass(frozen=True, slots=True)
class Frames:
    """The length is said in frames: `num_frames`.

    `overlap` frames of it make the end of the given film again, so that the film gets longer by
    `num_frames - overlap` only.
    """

    least: int
    most: int
    default: int
    multiple: int = 1
    offset: int = 0
    overlap: int = 0


@dataclass(frozen=True, slots=True)
class Fixed:
    """The length cannot be said; this is the usual one, in seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Tier:
    """A resolution: its name there (None: it has no field), its name here, and its short side."""

    value: str | None
    name: ResolutionTier | None
    short_side: int


@dataclass(frozen=True, slots=True)
class Rates:
    """The frame rates, and the field that chooses one."""

    values: tuple[float, ...]
    default: float
    field: str | None = None


@dataclass(frozen=True, slots=True)
class FalModel:
    """What one model takes and how its fields are called."""

    id: str
    description: str
    source: str
    modes: tuple[VideoMode, ...]
    length: Seconds | Frames | Fixed
    rates: Rates
    tiers: tuple[Tier, ...] = ()
    ratios: tuple[str, ...] = ()  # empty: no field; the frames follow the picture, or are fixed
    inputs: Mapping[InputRole, str] = field(default_factory=dict)
    needs: tuple[InputRole, ...] = ()
    needs_prompt: bool = True
    negative_prompt: bool = False
    seed: bool = False
    audio_field: str | None = None
    always: Mapping[str, JsonValue] = field(default_factory=dict)  # unless an option says otherwise
    options: tuple[OptionSpec, ...] = ()


def _flag(name: str, description: str) -> OptionSpec:
    return OptionSpec(name=name, type="boolean", description=description)


def _choice(name: str, description: str, *choices: str) -> OptionSpec:
    return OptionSpec(name=name, type="string", choices=choices, description=description)


def _number(name: str, description: str, low: float, high: float) -> OptionSpec:
    return OptionSpec(name=name, type="number", minimum=low, maximum=high, description=description)


def _whole(name: str, description: str, low: float, high: float | None = None) -> OptionSpec:
    return OptionSpec(name=name, type="integer", minimum=low, maximum=high, description=description)


P480 = Tier("480p", ResolutionTier.P480, 480)
P580 = Tier("580p", None, 580)
P720 = Tier("720p", ResolutionTier.P720, 720)
P1080 = Tier("1080p", ResolutionTier.P1080, 1080)
P1440 = Tier("1440p", ResolutionTier.K2, 1440)
P2160 = Tier("2160p", ResolutionTier.K4, 2160)
K4 = Tier("4k", ResolutionTier.K4, 2160)
ONLY_720 = Tier(None, ResolutionTier.P720, 720)
ONLY_1080 = Tier(None, ResolutionTier.P1080, 1080)
ONLY_480 = Tier(None, ResolutionTier.P480, 480)

WIDE_AND_TALL = ("16:9", "9:16")
WITH_SQUARE = ("16:9", "9:16", "1:1")
WITH_PHOTO = ("16:9", "9:16", "1:1", "4:3", "3:4")

EXPANSION = _flag("enable_prompt_expansion", "Let fal rewrite the prompt; off unless said.")
SAFETY = _flag("enable_safety_checker", "Look at the prompt before; fal's default is on.")
AS_WRITTEN: Mapping[str, JsonValue] = {"enable_prompt_expansion": False}
AUDIO_URL = OptionSpec(name="audio_url", type="string", description="https address of a sound.")
FIRST: Mapping[InputRole, str] = {InputRole.FIRST_FRAME: "image_url"}
FIRST_LAST: Mapping[InputRole, str] = {**FIRST, InputRole.LAST_FRAME: "end_image_url"}
START: tuple[InputRole, ...] = (InputRole.FIRST_FRAME,)


_MAGI_TEXT = FalModel(
    id="fal-ai/magi",
    description="MAGI-1 at fal: text to video, chunk by chunk",
    source=f"{TYPES}; {PAGE}",
    modes=TEXT,
    length=Frames(96, 192, 96),
    rates=Rates((24,), 24),
    tiers=(P720, P480),
    ratios=WITH_SQUARE,
    seed=True,
    options=(
        _choice("num_inference_steps", "Steps; above 16 cost more.", "4", "8", "16", "32", "64"),
        SAFETY,
    ),
)
_MAGI = (
    _MAGI_TEXT,
    replace(
        _MAGI_TEXT,
        id="fal-ai/magi/image-to-video",
        description="MAGI-1 at fal: goes on from a picture",
        source=f"{PAGE}; image_url as on those of magi-distilled/image-to-video",
        modes=IMAGE,
        inputs=FIRST,
        needs=START,
    ),
    replace(
        _MAGI_TEXT,
        id="fal-ai/magi/extend-video",
        description="MAGI-1 at fal: continues a film, without a limit to how often",
        modes=EXTEND,
        length=Frames(96, 192, 128, overlap=32),
        inputs={InputRole.SOURCE_VIDEO: "video_url"},
        needs=(InputRole.SOURCE_VIDEO,),
    ),
)

_MOCHI = FalModel(
    id="fal-ai/mochi-v1",
    description="Mochi 1 at fal: neither length nor size can be chosen",
    source=f"{TYPES}; {PRIOR} for length, size and frame rate",
    modes=TEXT,
    length=Fixed(163 / 30),
    rates=Rates((30,), 30),
    tiers=(ONLY_480,),
    negative_prompt=True,
    seed=True,
    always=AS_WRITTEN,
    options=(EXPANSION,),
)

_WAN_22 = FalModel(
    id="fal-ai/wan/v2.2-a14b/text-to-video",
    description="Wan 2.2 A14B at fal: length in frames, many settings",
    source=f"{TYPES}; {PAGE}: image-to-video and text-to-video/lora",
    modes=TEXT,
    length=Frames(17, 161, 81, multiple=4, offset=1),
    rates=Rates(tuple(range(4, 61)), 16, "frames_per_second"),
    tiers=(P720, P580, P480),
    ratios=WITH_SQUARE,
    negative_prompt=True,
    seed=True,
    always={**AS_WRITTEN, "interpolator_model": "none", "num_interpolated_frames": 0},
    options=(
        _whole("num_inference_steps", "Denoising steps; 27 at fal.", 2, 40),
        _number("guidance_scale", "How closely it follows the prompt; 3.5 at fal.", 1, 10),
        _number("guidance_scale_2", "The same, late in denoising; 4 at fal.", 1, 10),
        _number("shift", "Shift of the noise schedule; 5 at fal.", 1, 10),
        _choice("acceleration", "Trade quality for time.", "none", "regular"),
        _choice(
            "interpolator_model", "Add frames between; none unless said.", "none", "film", "rife"
        ),
        _whole("num_interpolated_frames", "Frames added between two; 0 unless said.", 0, 4),
        OptionSpec(name="video_quality", type="string", description="Quality of the encoding."),
        OptionSpec(name="video_write_mode", type="string", description="How it is encoded."),
        SAFETY,
        _flag("enable_output_safety_checker", "Look at the film afterwards."),
        EXPANSION,
    ),
)

_WAN_25 = tuple(
    FalModel(
        id=f"fal-ai/wan-25-preview/{kind}",
        description=f"Wan 2.5 preview at fal: {kind.replace('-', ' ')}, with sound",
        source=f"{PAGE}; {PRIOR} for the frame rate and the negative prompt",
        modes=modes,
        length=Seconds((5, 10), 5),
        rates=Rates((24,), 24),
        tiers=(P720, P480, P1080),
        ratios=ratios,
        inputs=inputs,
        needs=needs,
        negative_prompt=True,
        seed=True,
        always=AS_WRITTEN,
        options=(AUDIO_URL, SAFETY, EXPANSION),
    )
    for kind, modes, ratios, inputs, needs in (
        ("text-to-video", TEXT, WITH_SQUARE, {}, ()),
        ("image-to-video", IMAGE, (), FIRST, START),
    )
)

_WAN_27 = tuple(
    FalModel(
        id=f"fal-ai/wan/v2.7/{kind}",
        description=f"Wan 2.7 at fal: {kind.replace('-', ' ')}, 2 to 15 s",
        source=f"{TYPES}; {PAGE}; {CLIENTS} for durations as numbers; {PRIOR} for the frame rate",
        modes=modes,
        length=Seconds(tuple(range(2, 16)), 5, as_text=False),
        rates=Rates((30,), 30),
        tiers=(P720, P1080),
        ratios=ratios,
        inputs=inputs,
        needs=needs,
        needs_prompt=not inputs,
        negative_prompt=True,
        seed=True,
        always=AS_WRITTEN,
        options=(AUDIO_URL, SAFETY, EXPANSION),
    )
    for kind, modes, ratios, inputs, needs in (
        ("text-to-video", TEXT, WITH_PHOTO, {}, ()),
        ("image-to-video", IMAGES, (), FIRST_LAST, START),
    )
)

_KLING = tuple(
    FalModel(
        id=f"fal-ai/kling-video/v3/{grade}/{kind}",
        description=f"Kling 3 {grade} at fal: {kind.replace('-', ' ')}, 3 to 15 s, with sound",
        source=f"{TYPES}; {PAGE}; {PRIOR} for resolution and frame rate",
        modes=modes,
        length=Seconds(tuple(range(3, 16)), 5),
        rates=Rates((24,), 24),
        tiers=(tier,),
        ratios=ratios,
        inputs=inputs,
        needs=needs,
        needs_prompt=not inputs,
        negative_prompt=True,  # where none is given, fal says "blur, distort, and low quality"
        audio_field="generate_audio",
        options=(
            _number("cfg_scale", "How closely it follows the prompt; 0.5 at fal.", 0, 1),
            _choice("shot_type", "How shots are cut.", "customize", "intelligent"),
        ),
    )
    for grade, tier in (("pro", ONLY_1080), ("standard", ONLY_720))
    for kind, modes, ratios, inputs, needs in (
        ("text-to-video", TEXT, WITH_SQUARE, {}, ()),
        (
            "image-to-video",
            IMAGES,
            (),
            {InputRole.FIRST_FRAME: "start_image_url", InputRole.LAST_FRAME: "end_image_url"},
            START,
        ),
    )
)

_LTX = tuple(
    FalModel(
        id=f"fal-ai/ltx-2.3/{kind}",
        description=f"LTX 2.3 at fal: {kind.replace('-', ' ')}, up to 4k, with sound",
        source=f"{PAGE}; {CLIENTS} for numbers as numbers",
        modes=modes,
        length=Seconds((6, 8, 10), 6, as_text=False),
        rates=Rates((25, 24, 48, 50), 25, "fps"),
        tiers=(P1080, P1440, P2160),
        ratios=WIDE_AND_TALL,
        inputs=inputs,
        needs=needs,
        audio_field="generate_audio",
    )
    for kind, modes, inputs, needs in (
        ("text-to-video", TEXT, {}, ()),
        ("image-to-video", IMAGES, FIRST_LAST, START),
    )
)

_SEEDANCE = FalModel(
    id="bytedance/seedance-2.0/text-to-video",
    description="Seedance 2.0 at fal: text to video, 4 to 15 s",
    source=f"{PAGE}; {LITELLM} for 1080p and 4k",
    modes=TEXT,
    length=Seconds(tuple(range(4, 16)), 5),
    rates=Rates((24,), 24),
    tiers=(P720, P480, P1080, K4),
    ratios=(*WITH_PHOTO, "21:9"),
    seed=True,
    audio_field="generate_audio",
    options=(OptionSpec(name="end_user_id", type="string", description="Your user, for fal."),),
)

MODELS: Mapping[str, FalModel] = {
    model.id: model
    for model in (*_WAN_27, *_WAN_25, _WAN_22, *_KLING, *_LTX, *_MAGI, _MOCHI, _SEEDANCE)
}
"""The mapped models by id, the default first."""
