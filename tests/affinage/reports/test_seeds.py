import numpy as np
import pytest

from affinage.reports.seeds import Floor, seed_noise
from stages.common.errors import StageError
from tests.affinage.reports import made_up
from tests.affinage.reports.test_comparison import edited, results


def test_seed_noise(tmp_path):
    runs = []
    for seed, value in enumerate((10.0, 12.0, 14.0)):
        root = made_up.write(tmp_path / str(seed))
        (root / "params.yaml").write_text((root / "params.yaml").read_text().replace("seed: 1", f"seed: {seed}"))
        made_up.edit_json(root / "metrics/model/scores.json", lambda d, value=value: d["chrf"].update(tuned=value))
        runs.append(results(root))
    noise = {figure.name: figure for figure in seed_noise(runs)}
    assert noise["chrf"].mean == 12 and noise["chrf"].deviation == 2
    assert noise["chrf"].floor == pytest.approx(4.3027 * 2**0.5 * 2, rel=1e-4)  # t of 2 degrees of freedom
    assert noise["perplexity"].floor == 0


def test_runs_that_differ_in_more_than_seeds_have_no_floor(tmp_path):
    with pytest.raises(StageError, match="learning_rate"):
        changed = edited(tmp_path, ("learning_rate: 2e-4", "learning_rate: 1e-4"))
        seed_noise([changed.first, changed.second])
    with pytest.raises(StageError, match="at least two"):
        seed_noise([changed.first])


def test_a_floor_holds_for_what_it_says():
    dice = np.random.default_rng(0)
    runs = dice.normal(0, 1, (4000, 5))
    beyond = [
        abs(pair[0] - pair[1]) > Floor("x", list(run)).floor
        for run, pair in zip(runs, dice.normal(0, 1, (4000, 2)), strict=True)
    ]
    assert np.mean(beyond) == pytest.approx(0.05, abs=0.015)
