"""Run the campaign: `python -m campaign [--parts kills disk …] [--stages train …]`; status 1 if a promise broke."""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path


def main() -> int:
    from campaign import works
    from campaign.figures import table
    from campaign.parts import PARTS

    parser = argparse.ArgumentParser(prog="python -m campaign", description=__doc__)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="what to run (all)")
    parser.add_argument("--stages", nargs="+", choices=works.WORKS, default=list(works.WORKS), help="of kills and disk (all)")
    parser.add_argument("--points", type=int, default=20, help="where each stage is killed")
    parser.add_argument("--minutes", type=float, default=10, help="of fuzzing")
    parser.add_argument("--rows", type=int, default=100_000, help="of the long run")
    parser.add_argument("--tree", type=Path, default=Path(), help="a work tree where medical was run, for injection (this one)")
    parser.add_argument(
        "--answers", type=int, default=40, help="of each kind of injection; a fifth of them to the language model"
    )
    options = parser.parse_args()
    findings = []
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # a file system in memory: faults there wear out no disk
    with tempfile.TemporaryDirectory(prefix="campaign-", dir=memory) as folder:
        for part in options.parts:
            start = time.monotonic()
            (Path(folder) / part).mkdir()
            findings.append(PARTS[part](Path(folder) / part, options))
            print(
                f"{part}: {len(findings[-1].problems)} problems, {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True
            )
            for problem in findings[-1].problems:
                print(f"  - {problem}", file=sys.stderr, flush=True)
    print(table(findings))
    return int(any(part.problems for part in findings))


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    sys.exit(main())
