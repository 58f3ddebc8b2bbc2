import pytest
import torch

from media_agent_magi.tiny.config import SAMPLER
from media_agent_magi.training.layouts import LAYOUTS, SLOTS, Group, Layout
from media_agent_magi.training.objective import draw_timesteps


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_fills_the_sequence(layout: Layout) -> None:
    assert len(layout.ages()) == len(layout.starts()) == SLOTS


def test_the_weights_of_the_layouts_are_shares() -> None:
    assert sum(layout.weight for layout in LAYOUTS) == pytest.approx(1)


def test_groups_do_not_see_one_another_and_history_sees_only_itself() -> None:
    layout = Layout((Group((1, 0), history=1), Group((2, 1))), 1.0)

    assert layout.ages() == [None, 1, 0, 2, 1]
    assert layout.key_ranges(10) == [(0, 10), (0, 20), (0, 30), (30, 40), (30, 50)]


def test_cleaner_chunks_look_less_far_back() -> None:
    layout = Layout((Group((3, 1, 0), history=2),), 1.0)

    assert layout.key_ranges(1) == [(0, 1), (1, 2), (1, 3), (0, 4), (0, 5)]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_ages_stand_in_their_part_of_the_schedule(layout: Layout) -> None:
    t = draw_timesteps(layout, 500, torch.Generator().manual_seed(0))
    borders = torch.tensor([0.0, 1 / 7, 1 / 3, 3 / 5, 1.0])  # t = u / (2 - u) at u = 0, 1/4 ...

    for slot, age in enumerate(layout.ages()):
        if age is None:
            assert (t[:, slot] >= 0.85).all()
            assert (t[:, slot] <= 1).all()
        else:
            assert (t[:, slot] >= borders[age] - 1e-6).all()
            assert (t[:, slot] <= borders[age + 1] + 1e-6).all()


def test_chunks_of_one_window_share_the_phase() -> None:
    t = draw_timesteps(LAYOUTS[0], 50, torch.Generator().manual_seed(1))

    u = 2 * t / (1 + t) * SAMPLER.window_size  # back from t to parts of the schedule

    phases = u[:, 1:] - torch.tensor([3.0, 2.0, 1.0, 0.0])
    assert torch.allclose(phases, phases[:, :1].expand_as(phases), atol=1e-4)


def test_first_chunks_get_their_share_of_the_noisiest_steps() -> None:
    share = sum(
        layout.weight
        for layout in LAYOUTS
        if any(g.ages[0] == 0 and not g.history for g in layout.groups)
    )

    assert share > 0.25
