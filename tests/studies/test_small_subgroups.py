"""Small subgroups: four answers, and how many events a group borrows."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

import sitewise as sw
from sitewise.studies.prior_grid import with_spread
from sitewise.studies.small_subgroups import _sentence, small_subgroups, without_effects

FAST = sw.NestedLaplace(draws=4000)
FORMULA = "Surv(months, died) ~ ecog + stage + (1 | hospital)"
GROUPS = sw.RiskGroups.count_favourable(ecog="0", stage="I")


@pytest.fixture(scope="module")
def cohort(make_frame, read) -> sw.Cohort:
    return read(make_frame(90, seed=6))


@pytest.fixture(scope="module")
def fit(cohort) -> sw.FitResult:
    return sw.fit(sw.ModelSpec.from_formula(FORMULA), cohort, engine=FAST, seed=1)


@pytest.fixture(scope="module")
def found(fit) -> sw.SmallSubgroups:
    return small_subgroups(fit, time=12, groups=GROUPS, engine=FAST)


def test_raw_and_model_are_those_of_their_own_functions(found, fit, cohort):
    curves = sw.survival(fit, groups=GROUPS, sites=sw.Observed(), times=[12])
    for number, (row, group) in enumerate(zip(found.table.itertuples(), GROUPS.groups(cohort), strict=True)):
        assert (row.group, row.n, row.events) == (group.label, group.rows.sum(), cohort.event[group.rows].sum())
        raw = cohort.kaplan_meier(group.rows)
        assert row.raw == pytest.approx(raw.at([12])[0])
        assert (row.raw_lower, row.raw_upper) == pytest.approx(tuple(limit[0] for limit in raw.limits_at([12])))
        own = curves.isel(group=number).to_numpy().ravel()
        assert (row.model, row.model_lower, row.model_upper) == pytest.approx(np.quantile(own, [0.5, 0.025, 0.975]))


def test_a_group_alone_is_a_fit_of_the_group_alone(found, fit, cohort):
    """The same spec fitted through the front door; medians differ by Monte Carlo error, 4 of their standard errors at most."""
    spec = without_effects(fit.spec).resolve(cohort)
    for row, group in zip(found.table.itertuples(), GROUPS.groups(cohort), strict=True):
        alone = sw.fit(spec, cohort.subset(group.rows), engine=FAST, seed=9)
        draws = sw.survival(alone, groups=sw.RiskGroups.default(alone.cohort, []), sites=sw.Average(), times=[12])
        draws = draws.to_numpy().ravel()
        error = 1.25 * draws.std() * np.sqrt(2 / 3000)
        assert row.alone == pytest.approx(np.median(draws), abs=4 * error)
    together = {row.together for row in found.table.itertuples()}
    assert len(together) == 1


def test_borrowed_information_is_a_ratio_of_variances(found, fit, cohort):
    spec = without_effects(fit.spec).resolve(cohort)
    row, group = next(zip(found.table.itertuples(), GROUPS.groups(cohort), strict=True))
    alone = sw.fit(spec, cohort.subset(group.rows), engine=FAST, seed=9)
    values = [
        np.log(-np.log(draws.isel(group=0).to_numpy().ravel()))
        for draws in (
            sw.survival(alone, groups=sw.RiskGroups.default(alone.cohort, []), sites=sw.Average(), times=[12]),
            sw.survival(fit, groups=GROUPS, sites=sw.Observed(), times=[12]),
        )
    ]
    expected = row.events * values[0].var() / values[1].var()
    assert row.effective_information == pytest.approx(expected, abs=4 * row.effective_information_mcse)
    assert row.borrowed == pytest.approx(row.effective_information - row.events)


def test_without_anything_to_borrow_from_nothing_is_borrowed(cohort):
    """In a model without effects everybody is one group, whose own events are all that is known."""
    spec = without_effects(sw.ModelSpec.from_formula(FORMULA))
    found = small_subgroups(spec, cohort, time=12, groups=sw.RiskGroups.default(cohort, []), engine=FAST)
    row = found.table.iloc[0]
    assert abs(row["borrowed"]) < 4 * row["effective_information_mcse"]
    assert row["alone"] == pytest.approx(row["model"], abs=0.01)
    assert row["together"] == pytest.approx(row["model"], abs=0.01)
    assert "no surer of it" in row["sentence"] or row["borrowed"] > row["effective_information_mcse"]


def test_conjugate_information_is_recovered():
    """Exponential times, known rates: with a normal prior of log rates the model's information is events + prior's own.

    Two groups with a narrow prior Normal(0, s) on their difference. The log cumulative hazard of one has the precision of a
    normal mean with D events of its own, and the other's D' seen through a difference of variance s^2: D + 1 / (1 / D' + s^2)
    for large numbers, where the likelihood of a log rate is normal with variance 1 / D.
    """
    rng = np.random.default_rng(3)
    import pandas as pd

    size = (60, 600)
    group = np.repeat(["a", "b"], size)
    table = pd.DataFrame({"months": rng.exponential(10, sum(size)), "died": 1, "arm": group})
    cohort = sw.Cohort.from_frame(table, time="months", event="died", covariates=["arm"])
    s = 0.2
    vague = sw.Prior("Normal", mu=2.0, sigma=30.0)
    priors = sw.Priors(terms={"arm": sw.Prior("Normal", mu=0.0, sigma=s)}, log_scale=vague)
    spec = sw.ModelSpec(terms=("arm",), sites=sw.NoSites(), family=sw.Exponential(), priors=priors)
    found = small_subgroups(spec, cohort, time=10, groups=sw.RiskGroups.default(cohort, ["arm"]), engine=FAST)
    rows = found.table.set_index("group")
    for label, own, other in (("arm = a", 60, 600), ("arm = b", 600, 60)):
        expected = own + 1 / (1 / other + s**2)
        row = rows.loc[label]
        # The normal approximation of a log rate with D events errs by about 1 / D of its variance.
        tolerance = 4 * row["effective_information_mcse"] + 2 * expected / own
        assert row["effective_information"] == pytest.approx(expected, abs=tolerance)


def test_a_group_without_events_says_so(make_frame, read):
    frame = make_frame(60, seed=2)
    few = frame.index[frame["stage"] == "III"][:4]
    frame.loc[frame["stage"] == "III", "stage"] = "II"
    frame.loc[few, ["stage", "died"]] = ["III", 0]
    found = small_subgroups(sw.ModelSpec.from_formula(FORMULA), read(frame), time=12, engine=FAST)
    row = found.table.set_index("group").loc["stage = III"]
    assert row["events"] == 0
    assert "rests on other patients and on priors" in row["sentence"]
    assert np.isfinite(row[["alone", "alone_lower", "alone_upper", "model"]].astype(float)).all()


def test_other_priors_move_the_answer(found, fit):
    assert set(found.priors["prior"]) == {
        "as specified",
        *(f"{word} {what}" for word in ("sceptical", "optimistic") for what in ("site spread", "coefficients")),
    }
    for group, rows in found.priors.groupby("group"):
        row = found.table.set_index("group").loc[group]
        assert row["least"] == rows["median"].min()
        assert row["most"] == rows["median"].max()
    spread = found.priors.pivot_table(index="group", columns="prior", values="median")
    assert np.ptp(spread["sceptical coefficients"]) < np.ptp(spread["optimistic coefficients"])  # groups more alike


SPREADS = {
    "HalfNormal": (sw.Prior("HalfNormal", sigma=0.5), stats.halfnorm(scale=1.0)),
    "Exponential": (sw.Prior("Exponential", lam=2.0), stats.expon(scale=1.0)),
    "LogNormal": (sw.Prior("LogNormal", mu=-1.0, sigma=0.4), stats.lognorm(0.4, scale=2 * np.exp(-1.0))),
    "Gamma": (sw.Prior("Gamma", alpha=2.0, beta=4.0), stats.gamma(2.0, scale=0.5)),
    "InverseGamma": (sw.Prior("InverseGamma", alpha=3.0, beta=1.0), stats.invgamma(3.0, scale=2.0)),
    "HalfCauchy": (sw.Prior("HalfCauchy", beta=0.5), stats.halfcauchy(scale=1.0)),
}


@pytest.mark.parametrize(("prior", "doubled"), SPREADS.values(), ids=SPREADS.keys())
def test_a_spread_twice_as_wide_is_that_of_twice_the_sd(prior, doubled, fit):
    from sitewise.inference.densities import log_density

    spec = replace(fit.spec, resolution=replace(fit.spec.resolved, site_sd=prior))
    made = with_spread(spec, 2.0).resolved.site_sd
    values = np.array([0.2, 0.7, 1.9])
    np.testing.assert_allclose(log_density(made, values), doubled.logpdf(values), rtol=1e-10)


def test_slips_are_refused(fit, cohort):
    with pytest.raises(sw.SpecError, match="must be a time after the guarantee time"):
        small_subgroups(fit, time=0.0)
    with pytest.raises(sw.SpecError, match="groups of the cohort's patients"):
        small_subgroups(fit, time=12, groups=sw.Profiles({"one": {"ecog": "0", "stage": "I"}}))
    odd = replace(fit.spec, resolution=replace(fit.spec.resolved, site_sd=sw.Prior("Uniform", lower=0, upper=1)))
    with pytest.raises(sw.SpecError, match="scale of the prior"):
        with_spread(odd, 2.0)


def test_sentences_say_what_the_numbers_do():
    row = {"group": "g", "n": 1, "events": 4.0, "effective_information": 12.0, "effective_information_mcse": 0.5}
    row |= {"borrowed": 8.0, "least": 0.31, "most": 0.45}
    for name, middle in (("alone", 0.4), ("model", 0.38), ("together", 0.5)):
        row |= {name: middle, f"{name}_lower": middle - 0.1, f"{name}_upper": middle + 0.1}
    said = _sentence(row, 24.0, "months")
    assert said == (
        "g: 1 patient with 4 events. Survival at 24 months is 38 % (28 to 48); the group alone says 40 % (30 to 50), "
        "everybody together 50 % (40 to 60). The model is as sure of it as 12 events would make it: 4 of its own and 8 "
        "borrowed from other patients. More than half is borrowed, so that it stands and falls with the model. Under "
        "sceptical and optimistic priors it moves from 31 to 45 %."
    )


def test_the_figure_shows_every_answer(found):
    from sitewise.report.plot_subgroups import ANSWERS, plot_small_subgroups

    survival, events = plot_small_subgroups(found).axes
    shown = {line.get_label(): line.get_xdata() for line in survival.get_lines() if not line.get_label().startswith("_")}
    for name, (label, _, _) in ANSWERS.items():
        np.testing.assert_allclose(shown[label], found.table[name])
    widths = np.array([bar.get_width() for bar in events.patches]).reshape(2, -1).sum(axis=0)
    np.testing.assert_allclose(
        widths, np.maximum(found.table["effective_information"], np.minimum(found.table["events"], widths))
    )
