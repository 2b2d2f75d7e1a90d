"""KROG 20-04 at the default settings: what the project promises of it."""

import numpy as np
import pytest

import sitewise as sw
from sitewise.simulate.calibration import calibrate

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def krog():
    return calibrate(sw.load_evidence("krog-20-04"), seed=1)


@pytest.fixture(scope="module")
def table(krog):
    return krog.parameters().set_index("parameter")


def test_every_fitted_number_is_reproduced(krog):
    targets = krog.quality.targets()
    fitted = targets[(targets["status"] == "fit") & (targets["kind"] != "beyond_last")]
    assert len(fitted) == 32
    assert fitted["z"].abs().max() < 1.5
    assert krog.quality.contrasts()["z"].abs().max() < 1.5
    assert krog.moments.converged


def test_the_paper_as_a_whole_is_one_that_the_process_prints(krog):
    away, own = krog.quality.distances()
    assert away < np.quantile(own, 0.95)
    left_out = krog.quality.targets().query("status == 'fit'")["left_out_z"].dropna()
    assert left_out.abs().max() < 2.5


def test_deaths_that_the_intervals_imply(table):
    """Not printed; the widths of fourteen intervals hold them."""
    assert 58 <= table.loc["events", "mean"] <= 65
    assert table.loc["events", "sd"] <= 3


def test_how_ecog_and_child_pugh_go_together(table):
    """Not printed: with independent characteristics there would be 47 x 17 / 100 = 8 patients with ECOG 0 and Child-Pugh B."""
    row = table.loc["patients with ecog 0, child_pugh B"]
    assert 2 <= row["mean"] <= 5
    assert row["sd"] <= 2.5
    for count, size in ((2, 44), (1, 42), (0, 14)):
        assert table.loc[f"patients with {count} of 2 favourable", "mean"] == pytest.approx(size, abs=2.5)
    assert table.loc["latent_correlation ecog, child_pugh", "mean"] > 0


def test_what_is_not_identified_says_so(krog, table):
    assert table.index[~table["identified"].astype(bool)].tolist() == ["site_sd"]
    assert "not identified" in krog.scenario().sites.assumed
    assert krog.posterior.effective > 200


def test_a_reconstruction_prints_the_papers_tables(make, krog):
    """Every multivariate ratio and limit within 1 % by statsmodels, every Kaplan-Meier figure to a month by lifelines."""
    made = krog.reconstruct(1, seed=2, workers=1)
    frame, evidence = made.table(0), krog.problem.evidence
    model = next(item for item in evidence.model if item.adjusted)
    columns = {item.covariate: frame[item.covariate].isin(item.level) for item in model.term}
    beta, error = make.cox(frame, columns)
    for item, own, spread in zip(model.term, beta, error, strict=True):
        for sign, printed in ((0, item.hazard_ratio), (-1, item.lower), (1, item.upper)):
            assert np.exp(own + sign * 1.959964 * spread) == pytest.approx(printed, rel=0.01), (item.covariate, sign)
    favourable = (frame["ecog"] == "0").astype(int) + (frame["child_pugh"] == "A").astype(int)
    for item in evidence.survival:
        if item.endpoint != "os" or item.status != "fit":
            continue
        own = frame if item.count_favourable is None else frame[favourable == item.count_favourable]
        curve = make.curve(own["time"], own["event"])
        if item.time is not None:
            assert float(curve.predict(item.time)) == pytest.approx(item.survival, abs=0.005)
        else:
            assert make.has_median(curve, item.median, 0.5)
    follow = evidence.follow_up[0]
    assert frame["time"].median() == pytest.approx(follow.median, abs=0.51)
    for end, printed in zip((frame["time"].min(), frame["time"].max()), follow.range, strict=True):
        assert end == pytest.approx(printed, abs=0.51)
    for item in evidence.categorical:
        if item.name in frame:
            assert frame[item.name].value_counts().to_dict() == item.levels
    # Rows of hazard ratios may miss their last digit, and are then listed; nothing else that is fitted does.
    others = {item.id for item in krog.problem.targets if item.status == "fit" and item.model is None}
    assert not others & set(made.misses()["target"])
    for item in evidence.model:
        if item.adjusted or any(row.status == "held_out" for row in item.term) or item.term[0].covariate not in frame:
            continue
        (row,) = item.term
        chosen = frame[frame[row.covariate].isin([*row.level, *row.reference])] if row.level else frame
        (own,), _ = make.cox(chosen, {"x": chosen[row.covariate].isin(row.level) if row.level else chosen[row.covariate]})
        assert np.exp(own) == pytest.approx(row.hazard_ratio, rel=0.02)
