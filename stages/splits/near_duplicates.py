"""Near-duplicates by MinHash (Broder 1997, by rensa), searched by locality-sensitive hashing in an index on disk.

The index holds, for each band of a signature, the sorted hashes of that band with the numbers of their texts: 12 bytes a text
and band, beside 512 bytes a signature. It is memory-mapped, so that what has been seen may outgrow memory.
"""

import sqlite3
from functools import lru_cache
from pathlib import Path

import numpy as np
from rensa import RMinHash

from stages.common.temporary import Temporary
from stages.common.text import loose_key

PERMUTATIONS = 128
BUFFER = 1024  # signatures held before they are written
BASE = 0x9E3779B97F4A7C15  # odd, so that it has an inverse modulo 2^64
CHARACTERS = np.random.RandomState(1).randint(0, 1 << 63, 256, dtype=np.uint64)  # a number for each byte
STEPS = 1000  # of the integrals over similarity


@lru_cache(maxsize=2)
def _powers(length: int) -> tuple[np.ndarray, np.ndarray]:
    """BASE^i and BASE^-i modulo 2^64 for i below `length`: uint64, [length]."""
    powers = (np.full(length, base, np.uint64) for base in (BASE, pow(BASE, -1, 1 << 64)))
    return tuple(np.concatenate([np.ones(1, np.uint64), np.cumprod(of_base)[:-1]]) for of_base in powers)


def shingles(text: str) -> list[bytes]:
    """Eight bytes for every run of three words, and for the whole of a shorter text; equal runs have equal bytes.

    They are a polynomial of the run's characters modulo 2^64 (Karp and Rabin 1987), for all runs at once: a run's sum is the
    difference of two sums from the start of the text, shifted back by its place.
    """
    data = np.frombuffer(loose_key(text).encode("utf-8", "surrogatepass"), np.uint8)
    powers, inverses = _powers(1 << max(12, len(data).bit_length()))
    sums = np.zeros(len(data) + 1, np.uint64)
    np.cumsum(CHARACTERS[data] * powers[: len(data)], out=sums[1:])
    spaces = np.flatnonzero(data == ord(" "))
    starts, ends = np.append(0, spaces + 1), np.append(spaces, len(data))
    if len(starts) > 3:
        starts, ends = starts[:-2], ends[2:]
    else:
        starts, ends = starts[:1], ends[-1:]
    return ((sums[ends] - sums[starts]) * inverses[starts]).view("S8").tolist()


def signature_of(text: str) -> np.ndarray:
    """128 numbers (uint32), of which two texts share the share that their shingles do, about."""
    minhash = RMinHash(num_perm=PERMUTATIONS, seed=1)
    minhash.update(shingles(text))
    return np.array(minhash.digest(), np.uint32)


def bands_of(threshold: float) -> tuple[int, int]:
    """Bands and numbers a band, so that false finds and misses are fewest (Leskovec et al., Mining of Massive Datasets, 3.4).

    Two texts of similarity s meet in one of b bands of r numbers with probability 1 - (1 - s^r)^b. False finds are its integral
    below the threshold, misses that of its complement above.
    """
    below, above = (np.arange(STEPS) + 0.5) / STEPS * threshold, threshold + (np.arange(STEPS) + 0.5) / STEPS * (1 - threshold)

    def error(bands: int, width: int) -> float:
        false_finds = 1 - (1 - below**width) ** bands
        misses = (1 - above**width) ** bands
        return false_finds.mean() * threshold + misses.mean() * (1 - threshold)

    pairs = ((bands, width) for bands in range(1, PERMUTATIONS + 1) for width in range(1, PERMUTATIONS // bands + 1))
    return min(pairs, key=lambda pair: error(*pair))


class NearDuplicates:
    """Texts seen so far; says which of them a new one resembles.

    Args:
        threshold: Jaccard similarity of the sets of word 3-grams, estimated from 128 permutations (standard error
            at most 0.045).
    """

    def __init__(self, threshold: float):
        self.threshold = threshold
        # bands for the threshold itself would miss over half of the pairs that just reach it; `like` sorts out the rest
        self.bands, self.width = bands_of(0.75 * threshold)
        # odd numbers: a band's hash is its values times these, summed up modulo 2^64
        self.factors = np.random.RandomState(1).randint(0, 1 << 63, self.width, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
        self.total, self.waiting, self.index = 0, [], None
        self.temporary = Temporary()
        self.folder = Path(self.temporary.name)
        self.names = sqlite3.connect(self.folder / "names.db", isolation_level=None)
        self.names.executescript(
            "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; BEGIN; CREATE TABLE names (number INTEGER PRIMARY KEY, key TEXT)"
        )

    def add(self, key: str, signature: np.ndarray) -> None:
        """Remember the signature of a text under its key."""
        self.names.execute("INSERT INTO names VALUES (?, ?)", (self.total, key))
        self.total += 1
        self.waiting.append(signature)
        self.index = None
        if len(self.waiting) == BUFFER:
            self._write()

    def like(self, signatures: list[np.ndarray]) -> list[str | None]:
        """For each signature the key of the most similar text at or over the threshold; None if there is none."""
        if not self.total or not signatures:
            return [None] * len(signatures)
        if self.index is None:
            self._sort()
        candidates = [set() for _ in signatures]
        for (hashes, numbers), wanted in zip(self.index, self._hashes(np.stack(signatures)).T, strict=True):
            begins, ends = np.searchsorted(hashes, wanted, "left"), np.searchsorted(hashes, wanted, "right")
            for place in np.flatnonzero(begins < ends):
                candidates[place].update(numbers[begins[place] : ends[place]].tolist())
        return [
            self._nearest(signature, sorted(numbers)) if numbers else None
            for signature, numbers in zip(signatures, candidates, strict=True)
        ]

    def _nearest(self, signature: np.ndarray, candidates: list[int]) -> str | None:
        shared = np.count_nonzero(self.signatures[candidates] == signature, axis=1)
        most = int(shared.max())
        if most / PERMUTATIONS < self.threshold:
            return None
        best = (candidates[place] for place in np.flatnonzero(shared == most))
        return min(self.names.execute("SELECT key FROM names WHERE number = ?", (number,)).fetchone()[0] for number in best)

    def _hashes(self, signatures: np.ndarray) -> np.ndarray:
        """(texts, permutations) -> (texts, bands)."""
        banded = signatures[:, : self.bands * self.width].reshape(-1, self.bands, self.width)
        return (banded.astype(np.uint64) * self.factors).sum(axis=2, dtype=np.uint64)

    def _write(self) -> None:
        """Append the waiting signatures to the files, one of signatures and one for each band."""
        if self.waiting:
            signatures = np.stack(self.waiting)
            with open(self.folder / "signatures", "ab") as file:
                file.write(signatures.tobytes())
            for band, hashes in enumerate(self._hashes(signatures).T):
                with open(self.folder / f"{band}.hashes", "ab") as file:
                    file.write(hashes.tobytes())
        self.waiting = []

    def _sort(self) -> None:
        """Make the index of all bands, one after the other."""
        self._write()
        self.index = []
        for band in range(self.bands):
            hashes = np.fromfile(self.folder / f"{band}.hashes", np.uint64)
            order = np.argsort(hashes, kind="stable").astype(np.uint32)
            hashes[order].tofile(self.folder / f"{band}.sorted")
            order.tofile(self.folder / f"{band}.numbers")
            pair = (self.folder / f"{band}.sorted", np.uint64), (self.folder / f"{band}.numbers", np.uint32)
            self.index.append(tuple(np.memmap(path, kind, "r") for path, kind in pair))
        self.signatures = np.memmap(self.folder / "signatures", np.uint32, "r").reshape(-1, PERMUTATIONS)
