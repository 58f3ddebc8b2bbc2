"""The sizes of magi/tiny, and what its weights file says of itself. No torch here."""

from media_agent_magi.engine.config import ModelConfig, SamplerConfig
from media_agent_magi.generating.geometry import Geometry
from media_agent_magi.world.captions import WORDS
from media_agent_magi.world.scene import FPS

LABEL = "magi/tiny"
CAPTION_LENGTH = 24
CAPTION_WIDTH = 128
LATENT_CHANNELS = 16

MODEL = ModelConfig(
    model_name=LABEL,
    num_layers=6,
    hidden_size=192,
    ffn_hidden_size=768,
    num_attention_heads=6,
    num_query_groups=3,
    kv_channels=32,
    in_channels=LATENT_CHANNELS,
    out_channels=LATENT_CHANNELS,
    patch_size=2,
    t_patch_size=2,
    caption_channels=CAPTION_WIDTH,
    caption_max_length=CAPTION_LENGTH,
    cond_hidden_ratio=0.5,
)

SAMPLER = SamplerConfig(
    num_steps=16,
    window_size=4,
    chunk_width=6,
    cfg_number=3,
    cfg_t_range=(0.0,),
    prev_chunk_scales=(1.0,),
    text_scales=(3.5,),
    noise2clean_kvrange=(5, 4, 3, 2),
    clean_chunk_kvrange=1,
    clean_t=0.95,
    transform="shift",
    shift=2.0,
    null_caption_tokens=4,
    ramp=True,
)

GEOMETRY = Geometry(fps=FPS, chunk_width=SAMPLER.chunk_width, latent_channels=LATENT_CHANNELS)

WORD_NUMBERS = {word: number for number, word in enumerate(WORDS, start=1)}
