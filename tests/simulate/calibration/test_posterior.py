"""The posterior against rejection sampling with a simulator written here, and against linear algebra; counts within bounds."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sitewise.evidence.audit import audit
from sitewise.problems import EvidenceError
from sitewise.simulate.calibration import Assumptions, calibrate
from sitewise.simulate.calibration.derived import Derived
from sitewise.simulate.calibration.linearised import linear_posterior
from sitewise.simulate.calibration.pool import Pool, draw_pool, tempered
from sitewise.simulate.calibration.posterior import posterior_of
from sitewise.simulate.calibration.problem import Problem

PATIENTS = 40


# An oracle: rejection ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def simple(make):
    """Exponential survival of 40 patients: S(12) = 48 %, the observed time of half is 9 or longer."""
    paper = make.evidence(
        patients=PATIENTS,
        sites=1,
        survival=[{"id": "year", "time": 12, "survival": 0.48}],
        follow_up=[{"median": 9, "digits": 1, "definition": "observed"}],
    )
    return paper, Assumptions(family="exponential", guarantee_time=0.0)


@pytest.fixture(scope="module")
def found(simple):
    return calibrate(*simple, seed=3, cohorts=200, pool=8000, workers=2)


@pytest.fixture(scope="module")
def rejected(found):
    """The prior's draws whose cohort has nearly the printed numbers: log median, censoring scale and shape, and deaths.

    Written with nothing of the package but the prior's means and sds: Weibull ends of follow-up, Kaplan-Meier by ranks.
    """
    prior = found.problem.parameters
    assert prior.names == ("log_median_at_means", "log_censoring_scale", "log_censoring_shape")
    rng = np.random.default_rng(8)
    kept = []
    for _ in range(15):
        theta = prior.mean + prior.sd * rng.standard_normal((20_000, 3))
        median, scale, shape = np.exp(theta).T
        death = rng.exponential(size=(20_000, PATIENTS)) * median[:, None] / np.log(2)
        end = rng.exponential(size=(20_000, PATIENTS)) ** (1 / shape[:, None]) * scale[:, None]
        time, event = np.minimum(death, end), death <= end
        order = np.argsort(time, axis=1)
        time, event = np.take_along_axis(time, order, 1), np.take_along_axis(event, order, 1)
        factors = np.where(event & (time <= 12), 1 - 1 / np.arange(PATIENTS, 0, -1), 1.0)
        near = (np.abs(factors.prod(axis=1) - 0.48) < 0.02) & (np.abs((time > 9).mean(axis=1) - 0.5) < 0.03)
        kept.append(np.column_stack([theta, event.sum(axis=1)])[near])
    return np.concatenate(kept)


@pytest.mark.parametrize(
    ("method", "bias", "spread"), [("auto", 0.15, 0.15), ("curved", 0.15, 0.15), ("linear", 0.3, 0.2), ("abc", 0.1, 0.15)]
)
def test_parameters_and_deaths_are_those_that_rejection_keeps(simple, rejected, method, bias, spread):
    """Within Monte Carlo error and what each approximation costs, in posterior sds, for a paper that says as little as this.

    The linear model has statistics linear in the parameters over the whole width of what the paper leaves open, which is half
    of the prior's here; regression near the paper's numbers does better.
    """
    assert len(rejected) > 1000
    posterior = calibrate(*simple, seed=3, cohorts=200, pool=8000, workers=2, method=method).posterior
    theta, counts = posterior.resampled(1000, seed=1)
    own = np.column_stack([theta, counts[:, 0]])
    effective = min(posterior.effective, 1000)
    for place in range(own.shape[1]):
        sd = rejected[:, place].std()
        error = np.sqrt(1 / len(rejected) + 1 / effective)
        assert (own[:, place].mean() - rejected[:, place].mean()) / sd == pytest.approx(0, abs=3.5 * error + bias)
        assert own[:, place].std() / sd == pytest.approx(1, abs=3.5 * np.sqrt(0.5 / effective) + spread)


@pytest.fixture(scope="module")
def unreached(make):
    """Exponential survival of 40 patients, 55 % at two years, median not reached: true of 1 cohort in 150 with the numbers."""
    return make.evidence(
        patients=PATIENTS,
        sites=1,
        survival=[{"id": "two years", "time": 24, "survival": 0.55}, {"id": "still", "median": "not reached"}],
        follow_up=[{"median": 20, "digits": 1, "definition": "observed"}],
    ), Assumptions(family="exponential", guarantee_time=0.0)


@pytest.fixture(scope="module")
def rejected_unreached(unreached):
    """Parameters and deaths of the cohorts that have the numbers and meet the condition; nothing of the package but the prior.

    They are sought in a box five of their sds and more from their means.
    """
    prior = Problem.of(*unreached).parameters
    low, high = np.array([2.1, 2.5, -1.0]), np.array([5.2, 4.6, 3.0])
    rng = np.random.default_rng(8)
    kept = []
    for _ in range(60):
        theta = prior.mean + prior.sd * rng.standard_normal((100_000, 3))
        theta = theta[((theta > low) & (theta < high)).all(axis=1)]
        median, scale, shape = np.exp(theta).astype(np.float32).T
        size = len(theta), PATIENTS
        death = rng.standard_exponential(size, dtype=np.float32) * median[:, None] / np.float32(np.log(2))
        end = rng.standard_exponential(size, dtype=np.float32) ** (1 / shape[:, None]) * scale[:, None]
        time = np.minimum(death, end)
        near = np.abs((time > 20).mean(axis=1) - 0.5) < 0.03
        order = np.argsort(time[near], axis=1)
        time, event = (np.take_along_axis(values[near], order, 1) for values in (time, death <= end))
        factors = np.where(event, 1 - 1 / np.arange(PATIENTS, 0, -1), 1.0)
        at_two_years = np.where(time <= 24, factors, 1.0).prod(axis=1)
        found = (np.abs(at_two_years - 0.55) < 0.02) & (factors.prod(axis=1) > 0.5)
        kept.append(np.column_stack([theta[near], event.sum(axis=1)])[found])
    return np.concatenate(kept)


@pytest.mark.parametrize("method", ["auto", "curved", "linear", "abc"])
def test_parameters_are_those_under_which_a_condition_is_met(unreached, rejected_unreached, method):
    """Statistics of the cohorts that meet it alone would have the median .4 sd too low, and a third too wide.

    Deaths, a regression near the numbers, are half an sd of the sampling at most from what rejection keeps.
    """
    assert len(rejected_unreached) > 300
    posterior = calibrate(*unreached, seed=3, cohorts=200, workers=2, method=method).posterior
    theta, counts = posterior.resampled(1000, seed=1)
    effective = min(posterior.effective, 1000)
    for place in range(3):
        expected = rejected_unreached[:, place]
        error = np.sqrt(1 / len(expected) + 1 / effective)
        assert (theta[:, place].mean() - expected.mean()) / expected.std() == pytest.approx(0, abs=2.5 * error + 0.15)
        assert theta[:, place].std() / expected.std() == pytest.approx(1, abs=2.5 * np.sqrt(0.5) * error + 0.15)
    deaths = rejected_unreached[:, 3]
    assert counts[:, 0].mean() == pytest.approx(deaths.mean(), abs=0.5 * deaths.std())


@pytest.mark.parametrize("method", ["abc", "curved", "linear"])
def test_printed_deaths_are_the_deaths(make, method):
    """2,100 of 3,000, which simulated cohorts have within a hundred or so: a line over those would be some deaths off.

    The regression is of a logarithm; half a death is the rounding of the printed number.
    """
    paper = make.evidence(
        patients=3000,
        sites=10,
        survival=[{"id": "median", "median": 14}, {"id": "two years", "time": 24, "survival": 0.3}],
        events=[{"id": "deaths", "events": 2100}],
    )
    counts = calibrate(paper, seed=1, cohorts=100, pool=8000, method=method).draws[1]
    assert counts[:, 0].mean() == pytest.approx(2100, abs=0.3)
    assert counts[:, 0].std() < 1.0


def test_what_the_paper_does_not_say_keeps_its_prior(found):
    """The shape of the ends of follow-up, of which two numbers say next to nothing, is flagged; the median is not."""
    table = found.parameters().set_index("parameter")
    assert table.loc["censoring_shape", "prior_driven"]
    assert not table.loc["median", "prior_driven"]
    assert table.loc["median", "contraction"] > 0.5
    sites = table.loc["site_sd"]
    assert not sites["identified"]
    assert sites["sd"] == 0  # one site
    assert table.drop("site_sd")["identified"].all()


def test_draws_do_not_depend_on_workers_and_repeat(simple, found):
    again = calibrate(*simple, seed=3, cohorts=200, pool=8000, workers=1)
    for one, other in zip(again.draws, found.draws, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(again.posterior.weight, found.posterior.weight)
    different = calibrate(*simple, seed=4, cohorts=200, pool=8000, workers=2)
    assert np.abs(different.draws[0] - found.draws[0]).max() > 0.01
    # Another seed is another sample of the same posterior.
    (one, covariance), (other, _) = (item.posterior.mean_and_covariance() for item in (found, different))
    error = np.sqrt(1 / found.posterior.effective + 1 / different.posterior.effective)
    assert (np.abs(other - one) / np.sqrt(np.diag(covariance)) < 4.5 * error + 0.05).all()


def test_resampling_keeps_weighted_means(calibrated):
    """Systematic resampling: each draw comes up its weight times the number, to the nearest one; here all but equal."""
    posterior = calibrated.posterior
    theta, _ = posterior.resampled(20_000, seed=1)
    mean, covariance = posterior.mean_and_covariance()
    np.testing.assert_allclose(mean, posterior.weight @ posterior.theta)
    assert np.abs((theta.mean(axis=0) - mean) / np.sqrt(np.diag(covariance))).max() < 0.03
    assert posterior.weight.sum() == pytest.approx(1)


def test_the_hidden_numbers_of_a_known_data_set_are_in_their_intervals(known, calibrated):
    """Deaths, cross table and group sizes that the printed numbers do not hold, in 99 % intervals; the cross table sharply."""
    table = calibrated.parameters(prob=0.99).set_index("parameter")
    poor, late = known["ecog"] == "1", known["stage"] == "II"
    hidden = {
        "events": known["event"].sum(),
        "patients with ecog 1, stage II": (poor & late).sum(),
        "patients with 2 of 2 favourable": (~poor & ~late).sum(),
        "events with 0 of 2 favourable": known["event"][poor & late].sum(),
        "events with 2 of 2 favourable": known["event"][~poor & ~late].sum(),
    }
    for name, value in hidden.items():
        row = table.loc[name]
        assert row["lower"] <= value <= row["upper"], (name, value, row["lower"], row["upper"])
        assert row["sd"] < 0.6 * row["prior_sd"]


@pytest.mark.parametrize("method", ["linear", "abc"])
def test_conditions_that_cannot_be_met_are_refused(make, method):
    """10 % alive at a year and a median that is not reached: a curve does not rise, as the audit says, too."""
    paper = make.evidence(
        survival=[{"id": "year", "time": 12, "survival": 0.1}, {"id": "still", "median": "not reached"}], sites=1
    )
    with pytest.raises(EvidenceError, match=r"do not go together|at least \d+ are needed"):
        calibrate(paper, seed=1, cohorts=60, pool=6000, workers=1, method=method)
    assert any(item.severity == "error" and "cannot both be" in item.sentence for item in audit(paper).findings)


def test_conditions_that_few_cohorts_meet_want_a_larger_pool(make):
    """One arm of two whose median is not reached at 60 % alive at two years: many do, so the paper is not to blame."""
    paper = make.evidence(
        categorical=[{"name": "arm", "levels": {"a": 40, "b": 40}}],
        survival=[
            {"id": "a", "group": {"arm": ["a"]}, "median": 10},
            {"id": "b", "group": {"arm": ["b"]}, "time": 24, "survival": 0.6},
            {"id": "still", "group": {"arm": ["b"]}, "median": "not reached"},
        ],
        follow_up=[{"median": 30, "definition": "reverse-kaplan-meier"}],
    )
    with pytest.raises(EvidenceError, match=r"at least \d+ are needed") as caught:
        calibrate(paper, seed=1, cohorts=60, pool=500, workers=1, method="abc")
    assert int(str(caught.value).split("Give a pool of ")[1].split()[0]) > 500


# Linear algebra --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def normal(calibrated):
    """A Gaussian likelihood that says nothing about three directions, with the problem's prior."""
    problem = calibrated.problem
    size = len(problem.parameters)
    rng = np.random.default_rng(2)
    rows = rng.standard_normal((size - 3, size)) / problem.parameters.sd
    return problem, rows.T @ rows, problem.parameters.mean + 0.5 * problem.parameters.sd * rng.standard_normal(size)


@pytest.mark.parametrize("width", [1.0, 2.5, 4.0])
def test_a_tempered_posterior_is_prior_times_a_power_of_the_likelihood(normal, width):
    problem, information, best = normal
    prior = problem.parameters
    precision = np.diag(1 / prior.sd**2)

    def posterior(power):
        covariance = np.linalg.inv(precision + information * power)
        return covariance @ (precision @ prior.mean + power * information @ best), covariance

    found, expected = tempered(problem, *posterior(1.0), width), posterior(1 / width)
    np.testing.assert_allclose((found[0] - expected[0]) / prior.sd, 0, atol=1e-8)
    np.testing.assert_allclose(found[1] / np.outer(prior.sd, prior.sd), expected[1] / np.outer(prior.sd, prior.sd), atol=1e-8)


def test_the_linear_model_finds_the_posterior_of_a_linear_paper(calibrated):
    """Statistics a + B theta + noise of known covariance: the posterior has a closed form, whatever proposed the parameters."""
    problem = calibrated.problem
    prior, fitted = problem.parameters, problem.fitted
    rng = np.random.default_rng(9)
    size, count, rows = len(prior), len(fitted), 20_000
    slope = rng.standard_normal((count, size)) / prior.sd
    noise = np.diag(rng.uniform(0.5, 2.0, count))
    noise[0, 1] = noise[1, 0] = 0.3
    centre, covariance = prior.mean + 0.3 * prior.sd, np.diag((0.7 * prior.sd) ** 2)
    theta = rng.multivariate_normal(centre, covariance, rows)
    statistics = np.zeros((rows, len(problem.targets)))
    statistics[:, fitted] = 1.0 + theta @ slope.T + rng.multivariate_normal(np.zeros(count), noise, rows)
    pool = Pool(theta, statistics, np.zeros((rows, 1)), centre, covariance)
    published = problem.published.copy()
    published[fitted] = 1.0 + slope @ (prior.mean + 0.5 * prior.sd * rng.standard_normal(size))
    mean, found = linear_posterior(problem.with_published(published), pool)
    inverse = np.linalg.inv(noise)
    exact = np.linalg.inv(slope.T @ inverse @ slope + np.diag(1 / prior.sd**2))
    expected = exact @ (slope.T @ inverse @ (published[fitted] - 1.0) + prior.mean / prior.sd**2)
    sd = np.sqrt(np.diag(exact))
    assert np.abs((mean - expected) / sd).max() < 0.1  # sampling error of the regression
    np.testing.assert_allclose(np.sqrt(np.diag(found)), sd, rtol=0.05)


@pytest.mark.parametrize("constant", [0.1, 0.3, 1.0])
def test_a_number_that_no_cohort_varies_changes_nothing(simple, constant):
    """Parameters and deaths are those without it; the sum of many equal numbers is rounded, so that their sd may not be 0.

    It still counts as a coefficient: one of some 1,000 kept cohorts, so that what is left grows by 1 / 2,000.
    """
    paper, assumptions = simple
    more = replace(paper.survival[0], id="two years", time=24.0, survival=0.3)
    problem = Problem.of(replace(paper, survival=(*paper.survival, more)), assumptions)
    derived, prior = Derived(problem.statistics, exact=True), problem.parameters
    pool = draw_pool(problem, derived, prior.mean, np.diag(prior.sd**2), seed=1, size=4000)
    (place,) = [number for number, item in enumerate(problem.targets) if item.id.startswith("two years")]
    pool.statistics[:, place] = constant
    targets = list(problem.targets)
    targets[place] = replace(targets[place], status="held_out")
    found, expected = (posterior_of(own, derived, pool, seed=1) for own in (problem, replace(problem, targets=tuple(targets))))
    np.testing.assert_allclose(found.theta, expected.theta, atol=2e-3)
    np.testing.assert_allclose(found.derived.mean(axis=0), expected.derived.mean(axis=0), rtol=2e-3)


# Counts --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def counted(make, printed):
    """Counts with two favourable factors and their cross table, by the exactness of the margins."""
    return {exact: Derived(make.problem(printed).statistics, exact=exact) for exact in (True, False)}


@pytest.mark.parametrize("exact", [True, False])
def test_counts_come_back_from_the_unbounded_scale(make, printed, counted, exact):
    """Of cohorts from all over the prior."""
    problem = make.problem(printed, Assumptions(margins="exact" if exact else "sampled"))
    rng = np.random.default_rng(3)
    theta = problem.parameters.mean + problem.parameters.sd * rng.standard_normal((200, len(problem.parameters)))
    cohorts = problem.generator(theta, problem.randomness(1, 200, stage=50))
    derived = counted[exact]
    counts = derived(cohorts)
    np.testing.assert_allclose(derived.counts(derived.free(counts)), counts, atol=1e-6)
    # What is counted, one by one.
    named = dict(zip(derived.names, counts.T, strict=True))
    poor, late = cohorts.factors["ecog"] == 1, cohorts.factors["stage"] == 1
    np.testing.assert_array_equal(named["events"], cohorts.event.sum(axis=1))
    np.testing.assert_array_equal(named["patients with ecog 1, stage II"], (poor & late).sum(axis=1))
    np.testing.assert_array_equal(named["patients with 1 of 2 favourable"], (poor ^ late).sum(axis=1))
    np.testing.assert_array_equal(named["events with 2 of 2 favourable"], (cohorts.event & ~poor & ~late).sum(axis=1))


@settings(max_examples=200, deadline=None)
@given(data=st.data(), exact=st.booleans())
def test_whatever_a_regression_says_the_counts_are_possible(printed, counted, data, exact):
    derived = counted[exact]
    width = derived.free(np.ones((1, len(derived.names)))).shape[1]
    free = np.array([data.draw(st.lists(st.floats(-40, 40), min_size=width, max_size=width))])
    counts = dict(zip(derived.names, derived.counts(free)[0], strict=True))
    patients = printed.source.patients
    assert all(-1e-9 <= value <= patients + 1e-9 for value in counts.values())
    groups = [counts[f"patients with {number} of 2 favourable"] for number in (2, 1, 0)]
    assert sum(groups) == pytest.approx(patients)
    cells = {(e, s): counts[f"patients with ecog {e}, stage {s}"] for e in "01" for s in ("I", "II")}
    assert sum(cells.values()) == pytest.approx(patients)
    for number, size in zip((2, 1, 0), groups, strict=True):
        assert counts[f"events with {number} of 2 favourable"] <= size + 1e-9
    if exact:  # the printed margins hold whatever the cross table
        levels = {item.name: item.levels for item in printed.categorical}
        for e in "01":
            assert cells[e, "I"] + cells[e, "II"] == pytest.approx(levels["ecog"][e])
        for s in ("I", "II"):
            assert cells["0", s] + cells["1", s] == pytest.approx(levels["stage"][s])
