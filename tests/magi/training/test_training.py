"""Training in small: seconds, not minutes; the clock is turned by hand."""

import csv
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from media_agent_magi.engine.autoencoders.conv_vae import ConvVAE
from media_agent_magi.engine.autoencoders.vit_vae import ViTVAE, ViTVAEConfig
from media_agent_magi.engine.config import ConvVAEConfig
from media_agent_magi.tiny.config import CAPTION_LENGTH, MODEL, WORD_NUMBERS
from media_agent_magi.tiny.model import TinyModel, initialise
from media_agent_magi.training import autoencoder, checkpoint, transformer
from media_agent_magi.training.clock import Budget
from media_agent_magi.training.dataset import Dataset, caption_table, make_dataset, word_numbers
from media_agent_magi.training.layouts import LAYOUTS, SLOTS
from media_agent_magi.training.objective import caption_rows, loss
from media_agent_magi.training.optimizers import Optimizers
from media_agent_magi.world.captions import parse
from media_agent_magi.world.renderer import SceneBatch, render
from media_agent_magi.world.scene import Description, Scene, all_descriptions, is_held_out

SMALL = replace(MODEL, num_layers=2)


class HandClock:
    """Turns by a fixed time whenever it is read."""

    def __init__(self, step: float) -> None:
        self.now, self.step = 0.0, step

    def __call__(self) -> float:
        self.now += self.step
        return self.now


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    torch.manual_seed(0)
    vae = ConvVAE(ConvVAEConfig()).eval()
    return make_dataset(vae, 8, seed=0, device="cpu", twins=4, batch=4)


def test_learning_rate_warms_up_stays_and_decays() -> None:
    clock = HandClock(0.0)
    budget = Budget(1.0, clock)
    rates = []

    for clock.now in (0.6, 1.2, 30.0, 48.0, 60.0):
        rates.append(round(budget.learning_rate(), 2))

    assert rates == [0.5, 1.0, 1.0, 0.5, 0.01]


@pytest.mark.parametrize("minutes", [0, -1, float("nan")])
def test_a_budget_of_no_minutes_is_refused(minutes: float) -> None:
    with pytest.raises(ValueError, match="--minutes must be above 0"):
        Budget(minutes)


def test_the_dataset_never_shows_a_held_out_combination(dataset: Dataset) -> None:
    seen = {all_descriptions()[i] for i in dataset.descriptions.flatten().tolist()}

    assert seen
    assert not any(is_held_out(description) for description in seen)


def test_captions_of_the_table_say_their_description() -> None:
    words = {number: word for word, number in WORD_NUMBERS.items()}
    table = caption_table(seed=3)

    for index, description in list(enumerate(all_descriptions()))[::97]:
        said = " ".join(words[n] for n in table[index, 0].tolist() if n)
        assert parse(said) == description


def test_word_numbers_are_padded_and_skip_unknown_words() -> None:
    numbers = word_numbers("a purple circle")

    assert len(numbers) == CAPTION_LENGTH
    assert numbers[:3] == [WORD_NUMBERS["a"], WORD_NUMBERS["circle"], 0]


def test_a_batch_is_rolled_but_otherwise_the_data(dataset: Dataset) -> None:
    latents, words = dataset.batch(4, torch.Generator().manual_seed(0))

    assert latents.shape == (4, 16, 6 * SLOTS, 8, 8)
    assert words.shape == (4, SLOTS, CAPTION_LENGTH)
    sums = dataset.latents.float().sum((3, 4))
    for clip in latents.sum((3, 4)):
        assert ((sums - clip).abs().amax((1, 2)) < 0.05).any()


def test_twins_differ_in_colour_alone(dataset: Dataset) -> None:
    assert len(dataset.twins) == 4
    twins, latents, words = dataset.pairs(3, torch.Generator().manual_seed(0))

    assert twins.shape == latents.shape == (3, 16, 6 * SLOTS, 8, 8)
    assert words.shape == (3, SLOTS, CAPTION_LENGTH)
    changed = (twins - latents).abs().amax(1) > 1e-3  # where the object is, not everywhere
    assert 0 < changed.float().mean() < 0.7


def test_restyling_sets_out_from_the_twin_and_arrives_at_the_video(dataset: Dataset) -> None:
    latents, words = dataset.batch(2, torch.Generator().manual_seed(0))
    twins = torch.full_like(latents, 50.0)
    model = TinyModel()
    initialise(model, 0)
    given: list[torch.Tensor] = []
    model.dit.register_forward_pre_hook(lambda module, inputs: given.extend(inputs[:2]))

    loss(
        model,
        latents,
        words,
        layout=LAYOUTS[0],  # a finished chunk, then ages 3, 2, 1, 0
        generator=torch.Generator().manual_seed(1),
        twins=twins,
    )

    x, t = given
    means = x.unflatten(2, (SLOTS, -1)).mean((1, 3, 4, 5))  # B W
    assert (means[:, 0].abs() < 1).all()  # history is the video, not the twin
    assert (t[:, 1:] >= 0.2).all()
    assert (means[:, 4] > 9).all()  # the noisiest shows most of its twin
    assert (means[:, 4] >= means[:, 1] - 1e-3).all()


def test_the_loss_falls_on_one_batch(dataset: Dataset) -> None:
    model = TinyModel(SMALL)
    initialise(model, 0)
    optimizers = Optimizers(model, transformer.is_matrix, muon_rate=3e-3, adam_rate=2e-3)
    latents, words = dataset.batch(2, torch.Generator().manual_seed(0))
    values = []

    for _ in range(8):
        value = loss(
            model, latents, words, layout=LAYOUTS[0], generator=torch.Generator().manual_seed(1)
        ).nansum()
        value.backward()
        optimizers.step(1.0)
        values.append(value.item())

    assert values[-1] < 0.8 * values[0]


def test_a_cpu_multiplies_no_matrix_in_bfloat16() -> None:
    seen: set[object] = set()

    class Watch(TorchFunctionMode):
        def __torch_function__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            result = func(*args, **kwargs or {})
            seen.add(getattr(result, "dtype", None))
            return result

    layer = nn.Linear(4, 4)
    optimizers = Optimizers(
        layer, lambda name, value: value.ndim == 2, muon_rate=0.1, adam_rate=0.1
    )
    layer(torch.ones(1, 4)).sum().backward()
    before = layer.weight.detach().clone()
    with Watch():
        optimizers.step(1.0)

    assert torch.float32 in seen
    assert torch.bfloat16 not in seen
    assert not torch.equal(layer.weight, before)


def test_finished_chunks_and_clips_without_text_read_the_null_caption() -> None:
    model = TinyModel()
    initialise(model, 0)
    words = torch.tensor([[word_numbers("a red circle"), word_numbers("a blue square")]])

    rows, mask = caption_rows(model, words, torch.tensor([[True, False]]))

    assert torch.equal(rows[0], model.dit.null_caption())
    assert mask.sum(1).tolist() == [4, 3]


def test_checkpoints_keep_weights_average_and_facts(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    average = checkpoint.Average(model, 0.5)
    nn.init.ones_(model.weight)
    average.update(model, 100)
    checkpoint.save(tmp_path / "c.safetensors", model, average, {"step": 7})
    other = nn.Linear(3, 2)
    other_average = checkpoint.Average(other, 0.5)

    facts = checkpoint.load(tmp_path / "c.safetensors", other, other_average)

    assert facts == {"step": 7}
    assert torch.equal(other.weight, torch.ones(2, 3))
    assert torch.allclose(other_average.state["weight"], average.state["weight"], atol=1e-2)


def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    model = nn.Linear(3, 2)
    path = tmp_path / "c.safetensors"
    checkpoint.save(path, model, checkpoint.Average(model, 0.5), {"step": 0})
    other = nn.Linear(4, 2)

    with pytest.raises(ValueError, match="not a checkpoint of this model"):
        checkpoint.load(path, other, checkpoint.Average(other, 0.5))


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    path.write_bytes(b"not safetensors at all")
    model = nn.Linear(3, 2)

    with pytest.raises(ValueError, match="not a checkpoint"):
        checkpoint.load(path, model, checkpoint.Average(model, 0.5))


def test_a_checkpoint_over_the_limit_is_refused(tmp_path: Path) -> None:
    model = nn.Linear(3000, 3000, bias=False)

    with pytest.raises(ValueError, match="over the limit of 16 MiB"):
        checkpoint.save(tmp_path / "c", model, checkpoint.Average(model, 0.5), {})


def test_a_checkpoint_of_magi_tiny_fits_the_limit() -> None:
    size = sum(p.numel() for p in TinyModel(MODEL).parameters())

    assert 2 * 2 * size < checkpoint.LIMIT


def test_the_autoencoder_trains_and_continues(tmp_path: Path) -> None:
    def small() -> ConvVAE:
        return ConvVAE(ConvVAEConfig(latent_channels=4, width=8, inner_width=8, outer_width=4))

    for steps in (14, 28):  # a minute is 75 readings of the clock, five a step
        budget = Budget(1.0, HandClock(0.8))
        path = autoencoder.train_autoencoder(tmp_path, budget, batch=2, make=small)
        model = small()
        facts = checkpoint.load(path, model, checkpoint.Average(model, 0.5))
        assert facts["step"] == pytest.approx(steps, abs=2)


def test_muon_trains_the_matrices_of_both_kinds_of_autoencoder() -> None:
    vit = ViTVAE(
        ViTVAEConfig(
            video_size=64,
            video_length=4,
            patch_size=8,
            patch_length=4,
            z_chans=4,
            embed_dim=256,
            depth=1,
            num_heads=4,
            mlp_ratio=1.0,
        )
    )

    for model, first in ((ConvVAE(ConvVAEConfig()), "encoder.1.first"), (vit, "encoder.blocks.0")):
        chosen = [n for n, p in model.named_parameters() if autoencoder.is_kernel(n, p)]
        assert chosen[0].startswith(first)
        assert not any(name.endswith("bias") for name in chosen)


def test_training_the_decoder_alone_keeps_the_latents(tmp_path: Path) -> None:
    def small() -> ConvVAE:
        return ConvVAE(ConvVAEConfig(latent_channels=4, width=8, inner_width=8, outer_width=4))

    def train(*, decoder_only: bool) -> dict[str, torch.Tensor]:
        budget = Budget(1.0, HandClock(2.0))
        path = autoencoder.train_autoencoder(
            tmp_path, budget, batch=2, make=small, decoder_only=decoder_only
        )
        model = small()
        checkpoint.load_averaged(path, model)
        return model.state_dict()

    before, after = train(decoder_only=False), train(decoder_only=True)

    changed = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"decoder"}


def test_the_loss_of_the_autoencoder_sees_motion_that_is_missing() -> None:
    video = torch.zeros(1, 3, 12, 16, 16)
    video[..., 8:, :] = torch.linspace(-1, 1, 12)[None, None, :, None, None]

    class Still(nn.Module):
        def encode(self, video: torch.Tensor) -> torch.Tensor:
            return video.mean(dim=2, keepdim=True)

        def decode(self, latents: torch.Tensor) -> torch.Tensor:
            return latents.expand(-1, -1, 12, -1, -1)

    plain = video - video.mean(dim=2, keepdim=True)

    value = autoencoder.reconstruction_loss(Still(), video, noise=0.0)  # type: ignore[arg-type]

    assert value > plain.abs().mean() + 2 * plain.square().mean() + 0.1


def moving(frames: int = 8) -> tuple[torch.Tensor, SceneBatch]:
    """Return clips (3, 3, T, 64, 64) in [-1, 1] of an object that moves right, and their scenes."""
    shapes = ("circle", "square", "triangle")
    right = [Description("navy", shape, "yellow", "right") for shape in shapes]
    scenes = SceneBatch.of([Scene(20.0, 30.0, 11.0, (each,)) for each in right])
    return render(scenes, frames).transpose(1, 2) * 2 - 1, scenes


def test_a_frame_that_lies_elsewhere_is_displaced_by_as_much() -> None:
    video, _ = moving()

    shown = video.clone()
    shown[:, :, 2] = video[:, :, 1]  # as far as one frame earlier

    off = autoencoder.displacement(shown - video, video)
    assert off[:, 2, 0].tolist() == pytest.approx([-0.8] * 3, abs=0.1)
    assert off[:, :, 1].abs().max() < 0.01
    assert off[:, [0, 1, 3, 4]].abs().max() < 1e-5


def test_motion_in_steps_is_measured_by_phase() -> None:
    video, scenes = moving()
    held = 0.9 * video + 0.1 * video[:, :, ::4].repeat_interleave(4, dim=2)  # within each four

    even = autoencoder.moves_by_phase(video - video, video, scenes)
    uneven = autoencoder.moves_by_phase(held - video, video, scenes)

    assert even == pytest.approx([1.0] * 4)
    assert sum(uneven) == pytest.approx(4, abs=0.02)  # in all it gets as far
    assert uneven[0] < 0.95
    assert uneven[3] > 1.1


def test_the_loss_of_the_autoencoder_sees_where_things_are() -> None:
    video, _ = moving()
    even = torch.full_like(video, 0.01)

    off = autoencoder.video_loss(video.roll(1, 2)[:, :, 1:], video[:, :, 1:])
    blank = autoencoder.video_loss((video + even)[:, :, 1:], video[:, :, 1:])

    assert off > blank + autoencoder.PLACE_WEIGHT * 0.5 * 0.8**2 * 0.8


def test_the_transformer_trains_continues_and_logs(
    tmp_path: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transformer, "TinyModel", partial(TinyModel, SMALL))
    for _ in range(2):
        budget = Budget(1.0, HandClock(5.0))
        transformer.train_transformer(tmp_path, dataset, dataset, budget, batch=1, save_every=2)

    rows = list(csv.DictReader((tmp_path / "transformer.csv").open()))
    assert [int(row["step"]) for row in rows] == [2, 4]
    assert all(0 < float(row["age0"]) < 10 for row in rows)
