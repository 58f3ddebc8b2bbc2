"""The bits of a watermark: they find their job, mend a little, and fit to nothing else."""

import numpy as np
import pytest
from numpy.typing import NDArray

from media_agent.provenance.watermark import payload as codes


def sums_of(payload: int, *, strength: float = 3.0) -> NDArray[np.float64]:
    return strength * (2.0 * codes.to_bits(payload) - 1)


@pytest.mark.parametrize("payload", [0, 1, 0xDEADBEEF, 2**32 - 1])
def test_what_was_written_is_read(payload: int) -> None:
    assert codes.from_sums(sums_of(payload)) == payload


def test_weak_bits_that_are_wrong_are_mended() -> None:
    sums = sums_of(0x1234ABCD)
    for number, bit in enumerate((0, 7, 31, 32, 50, 63)):
        sums[bit] *= -0.1 * (number + 1)

    assert codes.from_sums(sums) == 0x1234ABCD


@pytest.mark.parametrize("bit", [3, 40])
def test_bits_that_do_not_fit_to_their_checksum_are_no_mark(bit: int) -> None:
    sums = sums_of(0x1234ABCD, strength=3.0)
    sums[bit] *= -2  # strong, so it is not doubted

    assert codes.from_sums(sums) is None


def test_bits_that_fit_and_are_weak_are_no_mark() -> None:
    assert codes.from_sums(sums_of(7, strength=codes.LEAST_STRENGTH - 0.01)) is None
    assert codes.from_sums(sums_of(7, strength=codes.LEAST_STRENGTH + 0.01)) == 7


def test_nothing_at_all_is_no_mark() -> None:
    assert codes.from_sums(np.zeros(64)) is None


def test_random_sums_fit_as_rarely_as_derived() -> None:
    random = np.random.default_rng(14)
    sums = random.normal(0, 2.5, (4_000, 64))  # far stronger than those of a video without a mark

    found = sum(codes.from_sums(each) is not None for each in sums)

    assert found <= 2  # 4,000 / 2^16 = 0.06 are expected


def test_a_segment_has_the_payload_of_its_video_and_other_names_their_own() -> None:
    video = codes.find_payload("20261130-abc")

    assert codes.find_payload("20261130-abc.segment-0003") == video
    assert codes.find_payload("20261130-abc.segment-0003.2") == video
    assert codes.find_payload("20261130-abc-2") != video
    assert codes.to_hex(codes.find_payload("job-1")) == "0x026ab639"
