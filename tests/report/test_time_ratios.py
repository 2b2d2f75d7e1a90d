"""The files of a fit whose family has no hazard ratios."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import sitewise as sw


@pytest.fixture(scope="module")
def fitted(make_frame) -> sw.FitResult:
    cohort = sw.Cohort.from_frame(make_frame(80, seed=3), time="months", event="died", site="hospital", time_unit="months")
    spec = sw.ModelSpec.from_formula("Surv(months, died) ~ ecog + (1 | hospital)", family=sw.LogLogistic(), metric="time-ratio")
    return sw.fit(spec, cohort, engine=sw.Nuts(draws=150, tune=200, chains=2, cores=1, retry=False), seed=1)


@pytest.fixture(scope="module")
def folder(fitted, tmp_path_factory):
    out = tmp_path_factory.mktemp("report")
    analysis = sw.Analysis(fitted, sw.RiskGroups.default(fitted.cohort, ["ecog"]))
    sw.write_all(analysis, out)
    return out


def test_the_fast_engine_says_what_to_use_instead(fitted):
    with pytest.raises(sw.SpecError, match=r"Use engine=Nuts\(\)"):
        sw.fit(fitted.spec, fitted.cohort, engine=sw.NestedLaplace(), seed=1)
    with pytest.raises(sw.SpecError, match="leave out patients instead"):
        sw.leave_one_site_out(fitted, engine=sw.Nuts(draws=50, tune=50, chains=1, cores=1))


def test_tables_have_time_ratios_only(fitted, folder):
    table = pd.read_csv(folder / "coefficients.csv")
    assert set(table["metric"]) == {"log_time_ratio"}
    draws = fitted.posterior["log_time_ratio"].to_numpy()
    assert table.loc[0, "mean"] == pytest.approx(draws.mean())
    parameters = pd.read_csv(folder / "parameters.csv").set_index("parameter")
    assert not {"median_hazard_ratio", "site_sd_log_hazard_ratio"} & set(parameters.index)
    assert parameters.loc["median_time_ratio", "median"] == pytest.approx(
        float(np.median(np.exp(0.9538726 * fitted.posterior["site_sd"]))), rel=1e-6
    )
    sites = pd.read_csv(folder / "sites.csv")
    assert sites["log_hazard_ratio_mean"].isna().all()
    effects = fitted.posterior["site_effect"].mean(("chain", "draw")).to_numpy()
    np.testing.assert_allclose(sites["log_time_ratio_mean"], effects, rtol=1e-8)


def test_the_page_speaks_of_times(folder):
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "Under the log-logistic family hazard ratios change as time goes on" in page
    assert "median time ratio between two sites" in page
    assert "median hazard ratio" not in page
    assert "P(longer times)" in page


def test_a_saved_fit_is_whole(fitted, tmp_path):
    loaded = sw.load(fitted.save(tmp_path / "fit.nc"))
    assert loaded.spec == fitted.spec
    groups = sw.RiskGroups.default(fitted.cohort, ["ecog"])
    for sites in (sw.Observed(), sw.Marginal()):
        first, second = (sw.rmst(each, groups=groups, sites=sites, horizon=12) for each in (fitted, loaded))
        np.testing.assert_array_equal(first, second)
    assert {"log_likelihood", "log_prior"} <= set(loaded.tree.children)


def test_checks_are_made_without_refits(fitted):
    found = sw.check(fitted, replicates=30)
    assert not found.refitted
    assert list(found.table["check"])[:4] == ["hazard over time", "effects over time", "predicted risk", "sites"]
    assert "prior" not in set(found.table["check"])  # its estimate needs the fast engine
    assert len(found.sensitivity) > 3
