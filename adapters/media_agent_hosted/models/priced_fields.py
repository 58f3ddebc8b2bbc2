"""Names that services give to what their prices depend on, and what says it in a request.

An option that hands fields on as they are may set none of them: what is billed is what was planned,
priced and held against the budget. Spelling (case, `_`, `-`) does not matter.
"""

from collections.abc import Mapping

PRICED_FIELDS: Mapping[str, str] = {
    **dict.fromkeys(
        ("duration", "duration_seconds", "seconds", "length", "video_length", "video_duration"),
        "duration",
    ),
    **dict.fromkeys(("num_frames", "frames", "frame_count", "number_of_frames"), "num_frames"),
    **dict.fromkeys(("fps", "frame_rate", "frames_per_second"), "fps"),
    **dict.fromkeys(("resolution", "quality_tier"), "resolution"),
    **dict.fromkeys(("size", "video_size", "image_size", "width", "height"), "size"),
    **dict.fromkeys(("aspect_ratio", "ratio"), "aspect_ratio"),
    **dict.fromkeys(
        ("n", "num_videos", "num_outputs", "num_samples", "num_results", "number_of_videos"), "n"
    ),
    **dict.fromkeys(("batch_size", "video_count", "num_videos_per_prompt"), "n"),
    **dict.fromkeys(
        ("audio", "generate_audio", "with_audio", "enable_audio", "generate_sound", "sound"),
        "audio",
    ),
    **dict.fromkeys(("model", "model_id", "model_name", "endpoint"), "model"),
}
