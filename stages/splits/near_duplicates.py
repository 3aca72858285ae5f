"""Near-duplicates by MinHash (Broder 1997), the index by locality-sensitive hashing (datasketch)."""

from datasketch import MinHash, MinHashLSH

from stages.common.text import normal

PERMUTATIONS = 128
SHINGLE = 3  # words


def shingles(text: str) -> set[str]:
    """Every run of three words; the whole text if it is shorter."""
    words = normal(text).split()
    return {" ".join(words[i : i + SHINGLE]) for i in range(max(1, len(words) - SHINGLE + 1))}


def signature(text: str) -> MinHash:
    minhash = MinHash(num_perm=PERMUTATIONS, seed=1)
    minhash.update_batch([shingle.encode("utf-8", "surrogatepass") for shingle in sorted(shingles(text))])
    return minhash


class NearDuplicates:
    """Texts seen so far; says which of them a new one resembles.

    Args:
        threshold: Jaccard similarity of the sets of word 3-grams, estimated from 128 permutations (standard error
            at most 0.045).
    """

    def __init__(self, threshold: float):
        self.threshold = threshold
        # an index at the threshold itself misses over half of the pairs that just reach it; `like` sorts out the rest
        self.index = MinHashLSH(threshold=0.75 * threshold, num_perm=PERMUTATIONS)
        self.signatures: dict[str, MinHash] = {}

    def add(self, key: str, text: str) -> None:
        self.signatures[key] = signature(text)
        self.index.insert(key, self.signatures[key])

    def like(self, text: str) -> str | None:
        """The key of the most similar text at or over the threshold; None if there is none."""
        minhash = signature(text)
        found = sorted((-minhash.jaccard(self.signatures[key]), key) for key in self.index.query(minhash))
        return found[0][1] if found and -found[0][0] >= self.threshold else None
