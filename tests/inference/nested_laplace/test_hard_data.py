"""Bad and sparse data: the fast engine answers, and says how well, or refuses in words; it never returns what is no number."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import sitewise as sw
from sitewise.inference.nested_laplace.weighting import NoModeError, weighted_draws
from sitewise.models.resolve import prepare

HALF_CAUCHY = sw.Priors(site_sd=sw.Prior("HalfCauchy", beta=1))
WIDE = sw.Priors(coefficients=sw.Prior("Normal", mu=0, sigma=10))
CAUCHY = sw.Priors(coefficients=sw.Prior("Cauchy", alpha=0, beta=2.5))
LATE_AND_WEIGHTED = {"entry": "entry", "weights": "weight"}


def table(n: int = 60, *, seed: int = 5, sites: int = 4) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    time = rng.weibull(0.9, n) * 20 + 0.1
    return pd.DataFrame(
        {
            "site": [f"s{number}" for number in np.arange(n) % sites],
            "ecog": rng.choice(["0", "1"], n),
            "age": rng.normal(60, 10, n),
            "time": time,
            "event": (rng.random(n) < 0.6).astype(int),
            "entry": np.where(rng.random(n) < 0.5, 0.0, 0.3 * time),
            "weight": rng.uniform(0.5, 2, n),
        }
    )


def with_events(frame: pd.DataFrame, *rows: int) -> pd.DataFrame:
    """Censor everyone but these rows."""
    return frame.assign(event=np.isin(np.arange(len(frame)), rows).astype(int))


@dataclass(frozen=True, eq=False)
class Case:
    frame: pd.DataFrame
    read: dict[str, Any] = field(default_factory=dict)
    spec: dict[str, Any] = field(default_factory=dict)

    @property
    def cohort(self) -> sw.Cohort:
        options = {"time": "time", "event": "event", "site": "site", "covariates": ["ecog", "age"]}
        return sw.Cohort.from_frame(self.frame, **{**options, **self.read})

    def fit(self, engine: Any = None) -> sw.FitResult:
        spec = sw.ModelSpec(**{"terms": ("ecog", "age"), **self.spec})
        return sw.fit(spec, self.cohort, engine=engine or sw.NestedLaplace(draws=4000), seed=2)


def separated() -> pd.DataFrame:
    """Everyone with ECOG 1 has died by the time at which everyone with ECOG 0 is censored."""
    frame = table(30, seed=3)
    frail = frame["ecog"] == "1"
    return frame.assign(event=frail.astype(int), time=np.where(frail, frame["time"], 100.0))


def five(seed: int) -> pd.DataFrame:
    return table(5, seed=seed, sites=2).assign(ecog=list("01010"), event=[1, 0, 1, 1, 0])


def many_sites() -> pd.DataFrame:
    return table(80, sites=40)


def hidden(frame: pd.DataFrame, share: float = 0.6) -> pd.DataFrame:
    """Every event somewhere between a share of its time and its time; columns ``lower`` and ``upper``."""
    died = frame["event"] == 1
    ends = {"lower": np.where(died, share * frame["time"], frame["time"]), "upper": frame["time"].where(died)}
    return frame.assign(**ends).drop(columns=["time", "event"])


ENDS = {"time": None, "event": None, "lower": "lower", "upper": "upper"}
SLOPES = sw.RandomSites(slopes=("ecog",))
PLAIN, SEPARATED, MANY = table(), separated(), many_sites()
ANSWERED = {
    "separated": Case(SEPARATED),
    "separated, time ratios": Case(SEPARATED, spec={"metric": "time-ratio"}),
    "separated, wide prior": Case(SEPARATED, spec={"priors": WIDE}),
    "separated, Cauchy prior": Case(SEPARATED, spec={"priors": CAUCHY}),
    "site without events": Case(PLAIN.assign(event=PLAIN["event"].where(PLAIN["site"] != "s0", 0))),
    "fixed site without events": Case(
        PLAIN.assign(event=PLAIN["event"].where(PLAIN["site"] != "s0", 0)), spec={"sites": sw.FixedSites()}
    ),
    "one event": Case(with_events(PLAIN, 7)),
    "one event, exponential": Case(with_events(PLAIN, 7), spec={"family": sw.Exponential()}),
    "one event, time ratios": Case(with_events(PLAIN, 7), spec={"metric": "time-ratio"}),
    "one event, fixed sites": Case(with_events(PLAIN, 7), spec={"sites": sw.FixedSites()}),
    "five patients": Case(five(0)),
    "five patients, time ratios": Case(five(1), spec={"metric": "time-ratio"}),
    "five patients, no sites": Case(five(2), spec={"sites": sw.NoSites()}),
    "two sites": Case(table(40, sites=2)),
    "forty sites of two": Case(MANY),
    "forty sites of two, centred": Case(MANY, spec={"sites": sw.RandomSites(centred=True)}),
    "forty sites of two, half-Cauchy": Case(MANY, spec={"priors": HALF_CAUCHY}),
    "forty sites, three events, half-Cauchy": Case(with_events(MANY, 3, 40, 77), spec={"priors": HALF_CAUCHY}),
    "95 % censored": Case(with_events(table(100), 2, 31, 50, 77, 98)),
    "95 % censored, half-Cauchy": Case(with_events(table(100), 2, 31, 50, 77, 98), spec={"priors": HALF_CAUCHY}),
    "one enormous time": Case(PLAIN.assign(time=PLAIN["time"].where(PLAIN.index != 0, 1e9))),
    "one tiny time": Case(PLAIN.assign(time=PLAIN["time"].where(PLAIN.index != 0, 1e-9))),
    "very early hazards": Case(PLAIN.assign(time=PLAIN["time"] ** 20)),
    "very late hazards": Case(PLAIN.assign(time=PLAIN["time"] ** 0.02)),
    "weights": Case(PLAIN, {"weights": "weight"}),
    "weights from 0.001 to 1000": Case(PLAIN.assign(weight=np.geomspace(1e-3, 1e3, 60)), {"weights": "weight"}),
    "late entry": Case(PLAIN, {"entry": "entry"}),
    "entry just before the end": Case(PLAIN.assign(entry=PLAIN["time"] * (1 - 1e-6)), {"entry": "entry"}),
    "late entry and weights, one event": Case(with_events(PLAIN, 7), LATE_AND_WEIGHTED),
    "all events in intervals": Case(hidden(PLAIN), ENDS),
    "all left-censored": Case(hidden(PLAIN).assign(lower=0.0, upper=PLAIN["time"]), ENDS),
    "one event, in an interval": Case(hidden(with_events(PLAIN, 7)), ENDS),
    "intervals of a millionth": Case(hidden(PLAIN, 1 - 1e-6), ENDS),
    "five patients, intervals": Case(hidden(five(3)), ENDS),
    "separated, intervals": Case(hidden(SEPARATED), ENDS),
    "slopes": Case(PLAIN, spec={"sites": SLOPES}),
    "slopes, separated": Case(SEPARATED, spec={"sites": SLOPES}),
    "slopes, one event": Case(with_events(PLAIN, 7), spec={"sites": SLOPES}),
    "slopes, five patients": Case(five(0), spec={"sites": SLOPES}),
    "slopes, forty sites of two": Case(MANY, spec={"sites": SLOPES}),
    "slopes of age, intervals": Case(hidden(PLAIN), ENDS, {"sites": sw.RandomSites(slopes=("age",))}),
    "baseline far from its prior": Case(
        PLAIN, spec={"priors": sw.Priors(log_scale_at_means=sw.Prior("StudentT", nu=3, mu=50, sigma=0.1))}
    ),
    "coefficients far from their prior": Case(
        PLAIN, spec={"priors": sw.Priors(coefficients=sw.Prior("Cauchy", alpha=20, beta=0.1))}
    ),
}


def all_numbers(fit: sw.FitResult) -> None:
    for group in ("posterior", "sample_stats", "log_prior", "log_likelihood"):
        for name, values in fit.tree[group].data_vars.items():
            assert np.isfinite(values).all(), f"{group}: {name}"


@pytest.mark.parametrize("case", ANSWERED.values(), ids=ANSWERED.keys())
def test_answers(case):
    fit = case.fit()
    all_numbers(fit)
    assert fit.engine == "nested-laplace"
    assert fit.verdict.level == "ok", fit.verdict.sentence
    assert not np.isnan(fit.tree["weighted_posterior"].attrs["log_marginal_likelihood"])


MANY_COLUMNS = [f"x{number}" for number in range(20)]
BEYOND = {
    "forty sites of two, fixed": Case(MANY, spec={"sites": sw.FixedSites()}),
    "twenty covariates of 25 patients": Case(
        pd.concat([table(25), pd.DataFrame(np.random.default_rng(3).normal(size=(25, 20)), columns=MANY_COLUMNS)], axis=1),
        {"covariates": MANY_COLUMNS},
        {"terms": tuple(MANY_COLUMNS)},
    ),
}
"""More parameters than data tell apart: a Student t in forty dimensions proposes them badly, and the weights say so."""
HARDEST = {
    name: ANSWERED[name]
    for name in (
        "separated, wide prior",
        "one event, time ratios",
        "five patients, time ratios",
        "forty sites, three events, half-Cauchy",
    )
}


@pytest.mark.parametrize("case", {**HARDEST, **BEYOND}.values(), ids={**HARDEST, **BEYOND}.keys())
def test_agrees_with_nuts(case):
    """Means within 0.15 sd, or within 4.5 Monte Carlo errors where the verdict says that these are larger.

    Some 1000 effective draws of each leave an error of 0.04 sd in a difference, and up to a hundred means are compared.
    """
    fast, exact = case.fit(), case.fit(sw.Nuts(draws=2000, cores=1))
    all_numbers(fast)
    assert "fail" not in (fast.verdict.level, exact.verdict.level)
    tolerance = max(0.15, 4.5 * fast.verdict["mcse"].value)
    for variable, draws in exact.posterior.data_vars.items():
        sample = ("chain", "draw")
        distance = (fast.posterior[variable].mean(sample) - draws.mean(sample)) / draws.std(sample)
        assert (np.abs(distance) < tolerance).all(), variable


ONE_TIME = {
    "all die": (Case(PLAIN.assign(time=10.0, event=1)), 1),
    "all die, time ratios": (Case(PLAIN.assign(time=10.0, event=1), spec={"metric": "time-ratio"}), 4),
    "some die": (Case(PLAIN.assign(time=10.0)), 1),
}


@pytest.mark.parametrize(("case", "along_time"), ONE_TIME.values(), ids=ONE_TIME.keys())
def test_says_so_where_it_has_no_answer(case, along_time):
    """With d events at a single time, log k ~ Normal((d - m) / 4, 1 / 2): shapes of ten thousand or a million.

    That is the prior, Normal(0, 1/2), times the likelihood's k^d, times 1 / k for each of the m parameters that are known to a
    share 1 / k of time: the baseline and, as time ratios, two coefficients and the spread of the sites.
    """
    fit, said = None, ""
    try:
        fit = case.fit()
    except NoModeError as error:
        said = str(error)
    if fit is None:
        assert "Use engine=Nuts()" in said
        return
    all_numbers(fit)
    if fit.verdict.level == "ok":
        log_shape = np.log(fit.posterior["shape"])
        assert float(log_shape.mean()) == pytest.approx((case.cohort.event.sum() - along_time) / 4, abs=0.15 * 0.5)
        assert float(log_shape.std()) == pytest.approx(0.5, rel=0.1)
    else:
        assert "use engine=Nuts()" in fit.verdict.sentence


@pytest.mark.parametrize("metric", ["hazard-ratio", "time-ratio"])
@pytest.mark.parametrize("unit", [1e4, 1e-3, 1e200])
def test_the_unit_of_time_is_only_a_unit(unit, metric):
    """Times as if in days, or in units of a thousand months: the same draws, with the baseline moved by the log of the unit.

    The same random numbers make them; they differ by the rounding of the mode.
    """
    spec = {"metric": metric}
    plain, scaled = (
        Case(PLAIN.assign(time=PLAIN["time"] * by, entry=PLAIN["entry"] * by), LATE_AND_WEIGHTED, spec).fit()
        for by in (1.0, unit)
    )
    assert scaled.verdict.level == "ok"
    for name, draws in plain.posterior.data_vars.items():
        moved = np.log(unit) if name.startswith("log_scale") or name.startswith("log_median") else 0.0
        np.testing.assert_allclose(scaled.posterior[name], draws + moved, rtol=1e-5, atol=1e-5, err_msg=name)


@pytest.mark.parametrize(("unit", "origin"), [(1e9, 0.0), (1e-9, 0.0), (1.0, 1e6)])
def test_the_unit_of_a_covariate_is_only_a_unit(unit, origin):
    plain, scaled = (Case(PLAIN.assign(age=PLAIN["age"] * by + start)).fit() for by, start in ((1.0, 0.0), (unit, origin)))
    assert scaled.verdict.level == "ok"
    for name in ("shape", "site_effect", "log_scale", "log_hazard_ratio"):
        draws = plain.posterior[name] / (xr.DataArray([1.0, unit], dims="term") if name == "log_hazard_ratio" else 1.0)
        np.testing.assert_allclose(scaled.posterior[name] / draws, 1, rtol=0, atol=1e-4, err_msg=name)


SITE_SDS = {
    "vanishes at zero, narrow": sw.Prior("LogNormal", mu=-1, sigma=0.5),
    "vanishes at zero, wide": sw.Prior("LogNormal", mu=-1, sigma=1),
    "vanishes at zero as a power": sw.Prior("Gamma", alpha=2, beta=2),
    "vanishes at zero, heavy tail": sw.Prior("InverseGamma", alpha=0.5, beta=0.02),
    "flat at zero": sw.Prior("HalfStudentT", nu=3, sigma=0.5),
    "steep at zero": sw.Prior("Exponential", lam=2),
    "gamma of shape 1": sw.Prior("Gamma", alpha=1, beta=2),
    "vague": sw.Prior("HalfNormal", sigma=10),
    "vague, heavy tail": sw.Prior("HalfCauchy", beta=25),
    "almost zero": sw.Prior("HalfNormal", sigma=0.01),
    "almost known": sw.Prior("Gamma", alpha=200, beta=400),
}


@pytest.mark.parametrize("prior", SITE_SDS.values(), ids=SITE_SDS.keys())
def test_priors_of_the_site_sd_of_every_form(prior):
    """On cohorts small and less small, with few sites and some, in both metrics."""
    for seed in range(8):
        metric = ("hazard-ratio", "time-ratio")[seed % 2]
        frame = table(30 + 5 * seed, seed=seed, sites=2 + seed % 5)
        fit = Case(frame, spec={"metric": metric, "priors": sw.Priors(site_sd=prior)}).fit(sw.NestedLaplace(draws=1000))
        assert fit.verdict.level == "ok", fit.verdict.sentence
        all_numbers(fit)


def far_apart(n: int, *, seed: int, sites: int) -> pd.DataFrame:
    """Sites whose times differ by factors of e^2 and more."""
    frame = table(n, seed=seed, sites=sites)
    factor = np.exp(np.random.default_rng(seed).normal(0, 2, sites))
    return frame.assign(time=frame["time"] * factor[np.arange(n) % sites])


HALF_T = sw.Priors(site_sd=sw.Prior("HalfStudentT", nu=3, sigma=1))
FAR_APART = {
    "weibull": Case(far_apart(30, seed=6, sites=6), spec={"priors": HALF_T}),
    "exponential": Case(far_apart(30, seed=6, sites=6), spec={"priors": HALF_T, "family": sw.Exponential()}),
    "eight patients": Case(far_apart(8, seed=20, sites=2), spec={"priors": HALF_T, "family": sw.Exponential()}),
}


@pytest.mark.parametrize("case", FAR_APART.values(), ids=FAR_APART.keys())
def test_sites_far_apart(case):
    """A long way for the search of the mode, on which hazards may overflow; and a spread of sites with a heavy tail."""
    fit = case.fit()
    all_numbers(fit)
    assert fit.verdict.level != "fail", fit.verdict.sentence
    assert fit.verdict["edge_mass"].level == "ok"


OVERFLOWING = {
    "fixed sites": Case(
        far_apart(8, seed=0, sites=2),
        spec={"sites": sw.FixedSites(), "priors": sw.Priors(shape=sw.Prior("Exponential", lam=1))},
    ),
    "no sites": Case(
        far_apart(8, seed=2, sites=2),
        spec={"sites": sw.NoSites(), "priors": sw.Priors(shape=sw.Prior("HalfCauchy", beta=1))},
    ),
    "random sites": Case(far_apart(30, seed=25, sites=6), spec={"metric": "time-ratio"}),
}


@pytest.mark.parametrize("case", OVERFLOWING.values(), ids=OVERFLOWING.keys())
def test_an_overflow_far_outside_costs_one_draw(case):
    """Some draws come from far outside the grid, where a shape of 10^4 makes hazards overflow.

    They have no weight; that is a number, and so are they, since zero times anything else would spoil a weighted mean.
    """
    spec = sw.ModelSpec(**{"terms": ("ecog", "age"), **case.spec}).resolve(case.cohort)
    for seed in (0, 1, 2, 3, 25):
        found = weighted_draws(spec, prepare(spec, case.cohort), draws=4000, rng=np.random.default_rng(seed))
        assert not np.isnan(found.log_weights).any()
        assert np.isfinite(found.points).all()
        assert found.weights.sum() == pytest.approx(1)
        assert found.importance_ess > 100


def test_what_lay_in_memory_does_not_matter():
    """A search that overflows on its way must not go on from arrays that it has not filled: same seed, same answer."""
    cohort = Case(table(55, seed=5, sites=2)).cohort
    priors = sw.Priors(site_sd=sw.Prior("Gamma", alpha=2, beta=2))
    spec = sw.ModelSpec(terms=("ecog", "age"), metric="time-ratio", priors=priors).resolve(cohort)
    data, found = prepare(spec, cohort), set()
    for number in range(40):
        left_behind = [np.full(size, value) for value in (0.0, 1e3, -5.0, np.nan) for size in range(1, 200 + number)]
        if number % 2:
            del left_behind
        try:
            found.add(weighted_draws(spec, data, draws=100, rng=np.random.default_rng(1)).log_marginal_likelihood)
        except NoModeError as error:
            found.add(str(error))
    assert len(found) == 1


def test_without_events_there_is_nothing_to_fit():
    """Refused when the cohort is read, and where a cohort without events comes from elsewhere, before any computation."""
    with pytest.raises(sw.CohortError, match="has no events"):
        _ = Case(with_events(PLAIN)).cohort
    cohort = Case(PLAIN).cohort
    spec = sw.ModelSpec(terms=("ecog",)).resolve(cohort)
    lines: list[str] = []
    with pytest.raises(sw.CohortError, match="Without events nothing can be estimated"):
        sw.fit(spec, replace(cohort, event=np.zeros(len(cohort))), engine=sw.NestedLaplace(draws=4000), report=lines.append)
    assert lines == []
