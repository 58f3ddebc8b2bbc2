"""What a watermark says: 32 bits of a job, and CRC-32 over them, which also mends bits.

How often is a mark seen in a video that has none? A reader tries alternatives (a stretch of the
video, a grid), each giving 64 sums. The sign of every slot that goes into a sum was drawn by a fair
coin, without knowledge of the video (`pattern.py`). So, whatever the video shows, the signs of the
64 sums are fair coins too, independent of one another and of the sums' sizes. Two things must
happen for a mark to be accepted, and over the coins of the key they are bounded:

* the bits fit to their CRC, after those of the 16 smallest sums were perhaps flipped. Each of the
  2^16 ways fits with probability 2^-32, also given the sizes: at most 2^-16 together;
* the mean size of the 64 sums, in standard deviations, is at least `LEAST_STRENGTH` = 1.3. A sum
  of fair coins times fixed weights of unit length has E exp(s |S|) <= 2 exp(s^2 / 2), so with
  s = 1.3 the probability is at most (2 exp(-1.3^2 / 2))^64 < 6.1e-5.

The first holds given the second, so one alternative is accepted with a probability below
2^-16 * 6.1e-5 < 1e-9, and a video, for which a reader tries at most `read.MOST_TRIES` of them,
below 1.3e-7.
"""

import hashlib
import re
import zlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bits = NDArray[np.uint8]  # 64, each 0 or 1
    Sums = NDArray[np.float64]  # 64, in standard deviations

BITS = 64
LEAST_STRENGTH = 1.3  # standard deviations, the mean over all bits
_WEAK = 16  # bits that may be flipped
_SEGMENT = re.compile(r"\.segment-\d{4,}(\.\d+)?$")


def find_payload(key: str) -> int:
    """Return what marks the video of a submission: the first 32 bits of SHA-256 of its key.

    The key is the id of the job, with -2, -3, ... behind it where other backends refused it before.
    Segments have the mark of the video that they are put together to.
    """
    while (whole := _SEGMENT.sub("", key)) != key:
        key = whole
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:4])


def to_hex(payload: int) -> str:
    """Return a payload as it is shown."""
    return f"0x{payload:08x}"


def to_bits(payload: int) -> "Bits":
    """Return the 64 bits of a payload and its checksum."""
    data = payload.to_bytes(4)
    return np.unpackbits(np.frombuffer(data + zlib.crc32(data).to_bytes(4), np.uint8))


def from_sums(sums: "Sums") -> int | None:
    """Return the payload that 64 sums stand for; None: they are no mark.

    Of several ways to flip weak bits that fit, it is the one that flips least.
    """
    if float(np.abs(sums).mean()) < LEAST_STRENGTH:
        return None
    bits = (sums > 0).astype(np.uint8)
    weakest = np.argsort(np.abs(sums))[:_WEAK]
    syndromes, costs = np.zeros(1, np.uint32), np.zeros(1)
    for bit in weakest:
        syndromes = np.concatenate([syndromes, syndromes ^ _SYNDROMES[bit]])
        costs = np.concatenate([costs, costs + abs(sums[bit])])
    ways = np.flatnonzero(syndromes == _find_syndrome(bits))
    if not ways.size:
        return None
    way = int(ways[np.argmin(costs[ways])])
    for number, bit in enumerate(weakest):
        bits[bit] ^= way >> number & 1
    return int.from_bytes(np.packbits(bits)[:4].tobytes())


def _find_syndrome(bits: "Bits") -> int:
    """Return 0 for bits that fit to their checksum."""
    packed = np.packbits(bits).tobytes()
    return zlib.crc32(packed[:4]) ^ int.from_bytes(packed[4:])


def _list_syndromes() -> "NDArray[np.uint32]":
    """Return by how much each bit changes the syndrome; CRC-32 is linear but for a constant."""
    none = _find_syndrome(np.zeros(BITS, np.uint8))
    return np.array([_find_syndrome(row) ^ none for row in np.eye(BITS, dtype=np.uint8)], np.uint32)


_SYNDROMES = _list_syndromes()
