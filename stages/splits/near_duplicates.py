"""Near-duplicates by MinHash (Broder 1997, by rensa), searched by locality-sensitive hashing in an index on disk.

The index holds, for each band of a signature, the sorted hashes of that band with the numbers of their texts: 12 bytes a text
and band, beside 512 bytes a signature. It is memory-mapped, so that what has been seen may outgrow memory.
"""

import sqlite3
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
from rensa import RMinHash

from stages.common.temporary import Temporary
from stages.common.text_keys import loose_key

PERMUTATIONS = 128
TOGETHER = 1 << 15  # characters of texts whose runs are hashed together
BUFFER = 1024  # signatures held before they are written
BASE = 0x9E3779B97F4A7C15  # odd, so that it has an inverse modulo 2^64
CHARACTERS = np.random.RandomState(1).randint(0, 1 << 63, 256, dtype=np.uint64)  # a number for each byte
STEPS = 1000  # of the integrals over similarity


@lru_cache(maxsize=2)
def _powers(length: int) -> tuple[np.ndarray, np.ndarray]:
    """BASE^i and BASE^-i modulo 2^64 for i below `length`: uint64, [length]."""
    powers = (np.full(length, base, np.uint64) for base in (BASE, pow(BASE, -1, 1 << 64)))
    return tuple(np.concatenate([np.ones(1, np.uint64), np.cumprod(of_base)[:-1]]) for of_base in powers)


def shingles_of(texts: list[str]) -> list[list[bytes]]:
    """For each text eight bytes for every run of three words, and for the whole of a shorter text; equal runs have equal bytes.

    They are a polynomial of the run's characters modulo 2^64 (Karp and Rabin 1987), for all runs of all texts at once: a run's
    sum is the difference of two sums from the start of the first text, shifted back by its place.
    """
    encoded = [loose_key(text).encode("utf-8", "surrogatepass") for text in texts]
    data = np.frombuffer(b" ".join([*encoded, b""]), np.uint8)  # a space ends every word, the last one of a text too
    powers, inverses = _powers(1 << max(12, len(data).bit_length()))
    sums = np.zeros(len(data) + 1, np.uint64)
    np.cumsum(CHARACTERS[data] * powers[: len(data)], out=sums[1:])
    ends = np.flatnonzero(data == ord(" "))
    starts = np.concatenate([[0], ends[:-1] + 1])
    words = np.array([text.count(b" ") + 1 for text in encoded])
    runs = np.maximum(words - 2, 1)
    last_words, after_runs = np.cumsum(words) - 1, np.cumsum(runs)
    first = np.arange(after_runs[-1]) + np.repeat(last_words - words + 1 - (after_runs - runs), runs)  # the first word of a run
    last = np.minimum(first + 2, np.repeat(last_words, runs))
    begins = starts[first]
    hashes = ((sums[ends[last]] - sums[begins]) * inverses[begins]).view("S8").tolist()
    return [hashes[end - count : end] for end, count in zip(after_runs.tolist(), runs.tolist(), strict=True)]


def shingles(text: str) -> list[bytes]:
    """The shingles of one text."""
    return shingles_of([text])[0]


def signatures_of(texts: list[str]) -> np.ndarray:
    """For each text 128 numbers, of which two texts share the share that their shingles do, about: uint32, [texts, 128]."""
    signatures = np.empty((len(texts), PERMUTATIONS), np.uint32)
    of_texts = (of_text for some in _together(texts) for of_text in shingles_of(some))
    for signature, of_text in zip(signatures, of_texts, strict=True):
        minhash = RMinHash(num_perm=PERMUTATIONS, seed=1)  # one by one: rensa's own batches wait for threads on a busy machine
        minhash.update(of_text)
        signature[:] = minhash.digest()
    return signatures


def signature_of(text: str) -> np.ndarray:
    """The signature of one text: uint32, [128]."""
    return signatures_of([text])[0]


def _together(texts: list[str]) -> Iterator[list[str]]:
    """Lists of texts of up to TOGETHER characters in all, or of one longer text."""
    some, size = [], 0
    for text in texts:
        if some and size + len(text) > TOGETHER:
            yield some
            some, size = [], 0
        some.append(text)
        size += len(text)
    if some:
        yield some


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
