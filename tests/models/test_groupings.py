"""Further groupings of patients: formulas, what is refused, positions, their prior, expected events, the study file."""

import numpy as np
import pytest
from scipy import stats

import sitewise as sw
from sitewise.cli.study import Study
from sitewise.inference.packing import kernel_reads
from sitewise.models.formula import parse_formula
from sitewise.models.resolve import prepare

FORMULA = "Surv(months, died) ~ ecog + (1 | hospital) + (1 | surgeon)"


@pytest.fixture(scope="module")
def frame(make_frame):
    return make_frame(36, seed=4).assign(surgeon=lambda table: np.arange(len(table)) % 12 + 1)


@pytest.fixture(scope="module")
def cohort(frame, read):
    return read(frame, covariates=["ecog", "surgeon"])


@pytest.fixture(scope="module")
def spec(cohort):
    return sw.ModelSpec.from_formula(FORMULA).resolve(cohort)


@pytest.mark.parametrize(
    ("right", "group", "groupings", "slopes"),
    [
        ("(1 | s) + (1 | u)", "s", ("u",), ()),
        ("(1 | s) + (1 | u) + (1 | v)", "s", ("u", "v"), ()),
        ("a + (1 + a | s) + (1 | u)", "s", ("u",), ("a",)),
        ("(1 | s) + (1 | s)", "s", (), ()),
    ],
)
def test_formulas(right, group, groupings, slopes):
    read = parse_formula(f"Surv(t, d) ~ {right}")
    assert (read.group, read.groupings, read.slopes) == (group, groupings, slopes)
    spec = sw.ModelSpec.from_formula(f"Surv(t, d) ~ {right}")
    assert sw.ModelSpec.from_formula(spec.formula) == spec


@pytest.mark.parametrize(
    ("right", "message"),
    [
        (
            "a + (1 | s) + (1 + a | u)",
            r"^Random slopes are those of the site, the first group; 'u' can have an intercept ",
        ),
        ("(1 | s/u)", r"^'s:u': groups are columns. Make one column of such labels"),
        ("u + (1 | s) + (1 | u)", r"^'u' has an effect twice: use it once, as a grouping or as a term"),
    ],
)
def test_formulas_that_are_refused(right, message):
    with pytest.raises(sw.SpecError, match=message):
        sw.ModelSpec.from_formula(f"Surv(t, d) ~ {right}")


def test_columns_that_cannot_group(frame, read):
    """All problems at once, each with its remedy."""
    table = frame.assign(one="x", each=[f"p{row}" for row in range(len(frame))], gap=frame["stage"].where(frame.index != 2))
    cohort = read(table, covariates=None, id="patient", entry="start", weights="weight")
    groups = ("one", "each", "gap", "surgon", "hospital")
    with pytest.raises(sw.CohortError) as caught:
        sw.ModelSpec(groupings=groups).resolve(cohort)
    message = str(caught.value)
    for part in (
        "column 'one': has one label; a grouping needs at least 2. Remove (1 | one).",
        "column 'each': has another label for each patient, so that it groups nobody. Remove (1 | each).",
        "column 'gap': has missing values, and groups patients (row 3). Complete them.",
        "column 'surgon': groups patients in the formula, but is not in the cohort. Did you mean 'surgeon'?",
        "groups by 'hospital' after another column, but it is the cohort's site column. Write (1 | hospital) first",
    ):
        assert part in message


def test_positions_follow_natural_order(spec, cohort, frame):
    assert spec.resolved.groupings == {"surgeon": tuple(str(number) for number in range(1, 13))}
    data = prepare(spec, cohort)
    np.testing.assert_array_equal(data.grouping[:, 0], frame["surgeon"] - 1)
    few = data.some(np.arange(5))
    np.testing.assert_array_equal((few + few).grouping[:, 0], np.tile(np.arange(5), 2))
    assert sw.ModelSpec.from_dict(spec.to_dict()) == spec


def test_unknown_labels_are_named(spec, frame, read):
    other = read(frame.assign(surgeon=frame["surgeon"].replace(12, 99)), covariates=["ecog", "surgeon"])
    with pytest.raises(sw.SpecError, match=r"^surgeon '99' are not among those that the spec was resolved on"):
        prepare(spec, other)


def test_the_fast_engine_and_the_kernel_refuse(spec, cohort):
    assert not kernel_reads(spec)
    with pytest.raises(sw.SpecError, match=r"^NestedLaplace fits one grouping of patients, the site, .* 'surgeon'"):
        sw.fit(spec, cohort, engine=sw.NestedLaplace())


def test_a_prior_without_groupings_is_refused(cohort):
    priors = sw.Priors(grouping_sd=sw.Prior("HalfNormal", sigma=1))
    with pytest.raises(sw.SpecError, match="prior 'grouping_sd': the model has no further groupings"):
        sw.ModelSpec(priors=priors).resolve(cohort)


def test_prior_and_what_it_expects(spec, cohort):
    """Effects over their sd are standard normal; expected events of a patient in their own group, by the Weibull's formula."""
    drawn = sw.sample_prior(spec, cohort, draws=1000, seed=3)["prior"].to_dataset()
    assert stats.kstest(drawn["grouping_sd[surgeon]"].to_numpy().ravel(), stats.halfnorm(scale=0.5).cdf).pvalue > 1e-4
    standard = (drawn["grouping_effect[surgeon]"] / drawn["grouping_sd[surgeon]"]).to_numpy()
    assert stats.kstest(standard.ravel(), stats.norm.cdf).pvalue > 1e-4


@pytest.mark.parametrize("metric", ["hazard-ratio", "time-ratio"])
def test_expected_events(metric, cohort, frame, hand_made):
    made = sw.ModelSpec.from_formula(FORMULA, metric=metric)
    k, unit = 1.4, 1.0 if metric == "hazard-ratio" else -1 / 1.4
    effects, sites = 0.1 * np.arange(12)[None], np.array([[0.2, -0.1, 0.4, 0.0]])
    fit = hand_made(
        made,
        cohort,
        shape=[k],
        log_scale=[2.5],
        coefficients=[[0.5 * unit]],
        site_effect=sites * unit,
        site_sd=[0.3],
    )
    own = {"grouping_effect[surgeon]": (("chain", "draw", "level[surgeon]"), effects[None] * unit)}
    fit = type(fit)(fit.posterior.assign(own), fit.spec, fit.cohort)
    ecog = (frame["ecog"] == ">=1").to_numpy(dtype=float)
    average = 0.5 * (ecog - ecog.mean())
    at_own = average + sites[0][frame["hospital"] - 1] + effects[0][frame["surgeon"] - 1]
    hazard = (9.0 / np.exp(2.5)) ** k
    np.testing.assert_allclose(sw.expected_events(fit, 9.0), hazard * np.exp(average), rtol=1e-12)
    np.testing.assert_allclose(sw.expected_events(fit, 9.0, own_sites=True), hazard * np.exp(at_own), rtol=1e-12)


def test_study_file(tmp_path, frame):
    frame.to_csv(tmp_path / "patients.csv", index=False)
    study = Study.from_dict({"model": {"formula": FORMULA}, "priors": {"grouping_sd": {"dist": "Exponential", "lam": 2}}})
    spec = study.spec()
    cohort = study.cohort(tmp_path / "patients.csv", spec)
    assert list(cohort.covariates.columns) == ["ecog", "surgeon"]
    assert cohort.levels("surgeon") == tuple(str(number) for number in range(1, 13))
    assert spec.resolve(cohort).resolved.grouping_sd == sw.Prior("Exponential", lam=2)
