"""A site's likelihood with its effect and slopes integrated out, against brute-force integration and closed forms."""

import tracemalloc
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from scipy.stats import norm

import sitewise as sw
from sitewise.families.metric import log_likelihood
from sitewise.models.model_data import OPTIONAL, slope_rows
from sitewise.models.resolve import prepare
from sitewise.problems import SpecError
from sitewise.studies import slope_integral, slope_lattice
from sitewise.studies.predictive import log_likelihood_of_site
from sitewise.studies.site_integral import log_site_integral, log_site_integral_with_intervals
from sitewise.studies.slope_integral import log_site_integral_with_slopes

METRICS = ["hazard-ratio", "time-ratio"]
NAMES = {"hazard-ratio": "log_hazard_ratio", "time-ratio": "log_time_ratio"}
SDS = np.array([[0.3, 0.5, 0.4, 0.3], [1e-6, 0.8, 1e-6, 0.6], [0.7, 1e-6, 0.5, 0.2], [3.0, 3.0, 0.1, 1e-6]])
"""Sds of the site effects and of up to three slopes, a row a draw."""


@pytest.fixture(scope="module")
def site(make_frame, read):
    """A function that returns a spec, draws and the arrays of one site: late entry and weights; intervals if wanted."""
    frame = make_frame(45, seed=7)
    frame = frame[frame["start"] < frame["months"]]
    cohort = read(frame, entry="start", weights="weight", covariates=["ecog", "age", "stage"])

    def make(metric="hazard-ratio", *, slopes=("ecog",), intervals=False, events=True):
        sites = sw.RandomSites(slopes=slopes)
        spec = sw.ModelSpec(terms=("ecog", "age", "stage"), sites=sites, metric=metric).resolve(cohort)
        data = prepare(spec, cohort)
        patients = data.some(cohort.site_index == 1)
        assert patients.entered_late is not None
        if not events:
            patients = replace(patients, event=np.zeros_like(patients.event))
        if intervals:
            interval = patients.event * (np.arange(patients.event.size) % 3 > 0)
            known = np.maximum(interval * (np.arange(interval.size) % 4 > 0), interval * patients.entered_late)
            start = np.where(patients.entered_late > 0, np.exp(patients.log_entry), 0.0)
            share = np.linspace(0, 0.9, interval.size)
            lower = np.where(known > 0, np.maximum(start + share * (np.exp(patients.log_time) - start), 0.01), 1.0)
            patients = replace(patients, interval=interval, log_lower=np.log(lower), lower_known=known)
        rng, count, scale = np.random.default_rng(3), len(spec.resolved.slope_columns), np.ones(3)
        if "age" in slopes:
            scale[list(spec.resolved.slope_labels).index("age")] = 0.1
        draws = {
            "shape": rng.uniform(0.7, 1.6, 4),
            "log_scale_at_means": rng.normal(2.6, 0.3, 4),
            "site_sd": SDS[:, 0],
            "site_slope_sd": SDS[:, 1 : 1 + count] * scale[:count],
            NAMES[metric]: rng.normal(0, [0.4, 0.02, 0.3, 0.3], (4, 4)),
        }
        return spec, draws, patients

    return make


def without_slopes(spec, draws, patients):
    """The likelihood under the same spec and draws with no slopes."""
    plain = replace(spec, sites=sw.RandomSites(), resolution=replace(spec.resolved, slope_columns=(), site_slope_sd=()))
    return log_likelihood_of_site(plain, draws, patients)


def brute_force(spec, draws, patients, draw, points):
    """The log integral of the patients' likelihood by a dense sum over a box of effects and slopes, in sds."""
    sds = np.append(draws["site_sd"][draw], draws["site_slope_sd"][draw])
    # Distances from the reference patient as the design itself has them.
    columns = list(spec.resolved.slope_columns)
    rows = np.column_stack(
        [np.ones(patients.event.size), (patients.design.matrix - np.asarray(spec.resolved.reference))[:, columns]]
    )

    def conditional(z):
        predictor = patients.covariates @ draws[NAMES[spec.metric]][draw] + (z * sds) @ rows.T
        each = log_likelihood(
            spec.family,
            spec.metric,
            log_time=patients.log_time,
            event=patients.event,
            **{name: getattr(patients, name) for name in OPTIONAL},
            linear_predictor=predictor,
            log_scale=draws["log_scale_at_means"][draw],
            shape=(draws["shape"][draw],),
        )
        return each.sum(axis=-1) - 0.5 * (z**2).sum(axis=-1)

    low, high = np.full(sds.size, -9.0), np.full(sds.size, 9.0)
    for count in (12, 12, 12, points):  # the box is drawn in around what counts
        axes = [np.linspace(*ends, count) for ends in zip(low, high, strict=True)]
        with np.errstate(over="ignore"):
            rest = np.stack(np.meshgrid(*axes[1:], indexing="ij"), axis=-1).reshape(-1, sds.size - 1)
            values = np.array([conditional(np.column_stack([np.full(len(rest), first), rest])) for first in axes[0]])
        top = values.max()
        kept = (values > top - 60).reshape((count,) * sds.size)
        step = (high - low) / (count - 1)
        for axis in range(sds.size if count != points else 0):
            inside = axes[axis][kept.any(axis=tuple(other for other in range(sds.size) if other != axis))]
            low[axis], high[axis] = inside.min() - step[axis], inside.max() + step[axis]
    return top + np.log(np.exp(values - top).sum() * step.prod()) - 0.5 * sds.size * np.log(2 * np.pi)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("slopes", [("ecog",), ("age",)], ids=["two groups", "continuous"])
@pytest.mark.parametrize("kind", ["exact", "intervals", "no events"])
def test_likelihood_with_one_slope_against_brute_force(metric, slopes, kind, site):
    spec, draws, patients = site(metric, slopes=slopes, intervals=kind == "intervals", events=kind != "no events")
    assert np.unique(slope_rows(spec, patients)).size > 1
    found = log_likelihood_of_site(spec, draws, patients)
    for draw in range(4):
        expected = brute_force(spec, draws, patients, draw, 300)
        assert expected == pytest.approx(brute_force(spec, draws, patients, draw, 371), abs=1e-10)
        assert found[draw] == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("intervals", [False, True], ids=["exact", "intervals"])
def test_likelihood_with_two_slopes_against_brute_force(metric, intervals, site):
    spec, draws, patients = site(metric, slopes=("ecog", "age"), intervals=intervals)
    found = log_likelihood_of_site(spec, draws, patients)
    for draw in range(3):
        assert found[draw] == pytest.approx(brute_force(spec, draws, patients, draw, 56), abs=1e-6)


def test_likelihood_with_three_slopes_against_brute_force(site):
    spec, draws, patients = site("time-ratio", slopes=("ecog", "stage"), intervals=True)
    assert len(spec.resolved.slope_columns) == 3
    found = log_likelihood_of_site(spec, draws, patients)
    for draw in range(2):
        assert found[draw] == pytest.approx(brute_force(spec, draws, patients, draw, 26), abs=1e-6)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("intervals", [False, True], ids=["exact", "intervals"])
def test_slopes_that_hardly_differ_between_sites_are_none(metric, intervals, site):
    for slopes in (("ecog",), ("ecog", "age")):
        spec, draws, patients = site(metric, slopes=slopes, intervals=intervals)
        expected = without_slopes(spec, draws, patients)
        for sd in (0.0, 1e-9):
            found = log_likelihood_of_site(spec, {**draws, "site_slope_sd": np.full((4, len(slopes)), sd)}, patients)
            np.testing.assert_allclose(found, expected, atol=1e-8 if len(slopes) == 1 else 1e-6, rtol=0)
        assert (np.abs(log_likelihood_of_site(spec, draws, patients) - expected)[[0, 1, 3]] > 1e-3).all()


def at_distance(spec, patients, distance):
    """The patients with one distance from the reference in all columns with slopes; their own effects stay."""
    resolution, columns = spec.resolved, list(spec.resolved.slope_columns)
    covariates = patients.covariates.copy()
    centre = np.asarray(resolution.reference) - np.asarray(resolution.means)
    covariates[:, columns] = centre[columns] + np.asarray(distance)
    return replace(patients, covariates=covariates)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("intervals", [False, True], ids=["exact", "intervals"])
@pytest.mark.parametrize("slopes", [("ecog",), ("ecog", "stage")], ids=["one", "three"])
def test_patients_at_the_reference_have_no_slopes(metric, intervals, slopes, site):
    spec, draws, patients = site(metric, slopes=slopes, intervals=intervals)
    all_there = at_distance(spec, patients, 0.0)
    expected = without_slopes(spec, draws, all_there)
    np.testing.assert_array_equal(log_likelihood_of_site(spec, draws, all_there), expected)


def test_columns_in_which_nobody_differs_from_the_reference_take_no_time(site):
    """Where a site lacks the other levels of a factor, their slopes are not even integrated over."""
    spec, draws, patients = site(slopes=("ecog", "stage"), intervals=True)
    assert spec.resolved.slope_labels[0].startswith("ecog")
    first_stage = patients.some((slope_rows(spec, patients)[:, 1:] == 0).all(axis=1))
    assert (slope_rows(spec, first_stage)[:, 0] > 0).any()
    fewer = replace(spec, resolution=replace(spec.resolved, slope_columns=spec.resolved.slope_columns[:1]))
    expected = log_likelihood_of_site(fewer, {**draws, "site_slope_sd": draws["site_slope_sd"][:, :1]}, first_stage)
    np.testing.assert_array_equal(log_likelihood_of_site(spec, draws, first_stage), expected)


@pytest.mark.parametrize("intervals", [False, True], ids=["exact", "intervals"])
def test_patients_who_are_all_alike_share_one_normal_effect(intervals, site):
    spec, draws, patients = site("time-ratio", intervals=intervals)
    alike = at_distance(spec, patients, 2.0)
    found = log_likelihood_of_site(spec, draws, alike)
    wider = {**draws, "site_sd": np.sqrt(draws["site_sd"] ** 2 + 4 * draws["site_slope_sd"][:, 0] ** 2)}
    np.testing.assert_allclose(found, without_slopes(spec, wider, alike), rtol=1e-13)
    # The general rule says the same.
    nearly = at_distance(spec, patients, 2.0 + 1e-11 * np.arange(patients.event.size)[:, None])
    np.testing.assert_allclose(log_likelihood_of_site(spec, draws, nearly), found, atol=1e-8, rtol=0)


def test_patients_of_no_weight_are_nobody(site):
    spec, draws, patients = site(slopes=("age",), intervals=True)
    weight = patients.weight.copy()
    weight[[0, 3, 4]] = 0.0
    found = log_likelihood_of_site(spec, draws, replace(patients, weight=weight))
    np.testing.assert_allclose(found, log_likelihood_of_site(spec, draws, patients.some(weight > 0)), atol=1e-9, rtol=0)
    weight = np.where(np.arange(weight.size) == 2, weight, 0.0)
    found = log_likelihood_of_site(spec, draws, replace(patients, weight=weight))
    np.testing.assert_allclose(found, log_likelihood_of_site(spec, draws, patients.some(weight > 0)), atol=1e-9, rtol=0)


def test_more_than_three_slopes_are_refused(site):
    spec, draws, patients = site(slopes=("ecog", "age", "stage"))
    with pytest.raises(SpecError, match=r"4 columns .*at most 3.*fewer terms"):
        log_likelihood_of_site(spec, draws, patients)


def test_draws_far_off(site):
    """Hazards that over- or underflow."""
    spec, draws, patients = site("hazard-ratio", intervals=True)
    far = {**draws, "shape": np.full(4, 1.2), "log_scale_at_means": np.array([-800.0, 800.0, -1e5, 1e4])}
    far |= {"site_sd": np.array([60.0, 60.0, 1.0, 5.0]), "site_slope_sd": np.array([[1.0], [0.5], [1.0], [1e-6]])}
    found = log_likelihood_of_site(spec, far, patients)
    assert np.isfinite(found).all()
    assert (found[2:] < -1e5).all()
    for draw in range(2):
        moved = {name: values[[draw]] for name, values in far.items()}
        moved["site_slope_sd"] = np.full((1, 1), 1e-9)
        np.testing.assert_allclose(
            log_likelihood_of_site(spec, moved, patients), without_slopes(spec, moved, patients), atol=1e-8, rtol=0
        )


# The integral itself --------------------------------------------------------------------------------------------------


def one(events, hazard, rows, within, weight, rows_within, sds):
    """The log integral under one draw; hazards not as logs."""
    size = len(sds) - 1
    rows, rows_within = np.reshape(rows, (-1, size)).astype(float), np.reshape(rows_within, (-1, size)).astype(float)
    with np.errstate(divide="ignore"):
        logs = np.log(np.asarray(hazard, dtype=float))[None], np.log(np.asarray(within, dtype=float))[None]
    events, weight, sds = (np.asarray(part, dtype=float) for part in (events, weight, sds))
    return log_site_integral_with_slopes(
        events, logs[0], rows, logs[1], weight, rows_within, site_sd=sds[:1], slope_sd=sds[None, 1:]
    )[0]


def star_case(seed, size):
    """Groups: patients at the reference, and a group for each column: events, hazards, growths over intervals, sds."""
    rng = np.random.default_rng(seed)
    events = rng.choice([0.0, 1.0, 4.5, 30.0], size + 1)
    hazard = 10 ** rng.uniform(-6, 2, size + 1)
    within = [10 ** rng.uniform(-5, 2, rng.integers(0, 4)) for _ in range(size + 1)]
    sds = np.where(rng.uniform(size=size + 1) < 0.3, 10 ** rng.uniform(-6, -1, size + 1), rng.uniform(0.1, 3, size + 1))
    return events, hazard, within, [rng.choice([1.0, 0.6, 2.5], own.size) for own in within], sds


def by_conditional_independence(events, hazard, within, weight, sds):
    """The log integral over b in many short pieces; given b, each group's slope is an effect of its own."""

    def log_integrand(z):
        b = sds[0] * z
        with np.errstate(divide="ignore"):
            at_reference = np.log(-np.expm1(-within[0] * np.exp(b)[:, None])) @ weight[0] - hazard[0] * np.exp(b)
        value = events.sum() * b + at_reference + norm.logpdf(z)
        for place in range(1, len(sds)):
            logs = np.log(hazard[place]) + b, np.log(within[place]) + b[:, None]
            sd = np.full(z.size, sds[place])
            value += log_site_integral_with_intervals(events[place], *logs, weight[place], site_sd=sd)
        return value

    points = np.linspace(-100, 100, 401)
    for _ in range(3):
        values = log_integrand(points)
        kept = np.flatnonzero(values > values.max() - 60)
        points = np.linspace(points[kept[0] - 1], points[kept[-1] + 1], 41)
    nodes, weights = np.polynomial.legendre.leggauss(16)
    half = 0.5 * (points[1] - points[0])
    values = log_integrand((points[:-1, None] + half * (1 + nodes)).ravel())
    return values.max() + np.log(half * np.exp(values - values.max()).reshape(-1, 16).sum(axis=0) @ weights)


@pytest.mark.parametrize(("size", "cases", "error"), [(1, 40, 2e-9), (2, 20, 3e-7), (3, 8, 3e-7)])
def test_integral_where_each_slope_has_a_group_of_its_own(size, cases, error):
    """The slopes of the levels of a factor are independent given the site's effect."""
    for seed in range(cases):
        events, hazard, within, weight, sds = star_case(seed, size)
        rows = np.vstack([np.zeros(size), np.eye(size)])
        rows_within = np.repeat(rows, [own.size for own in within], axis=0)
        found = one(events, hazard, rows, np.concatenate(within), np.concatenate(weight), rows_within, sds)
        assert found == pytest.approx(by_conditional_independence(events, hazard, within, weight, sds), abs=error)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_integral_in_closed_form_where_nobody_was_at_risk(size):
    """Without hazard it is the moment generating function of a normal."""
    rng = np.random.default_rng(size)
    events, rows = np.array([1.0, 0.0, 2.5]), rng.normal(0, 1, (3, size))
    for sds in (np.full(size + 1, 1e-6), rng.uniform(0.1, 1.5, size + 1)):
        expected = 0.5 * ((events @ np.column_stack([np.ones(3), rows]) * sds) ** 2).sum()
        found = one(events, np.zeros(3), rows, [], [], np.zeros((0, size)), sds)
        assert found == pytest.approx(expected, abs=2e-9 if size == 1 else 3e-7)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_integral_with_an_interval_is_a_difference_of_two_without(size):
    """1 - exp(-h exp(x)) is a difference of the likelihoods of two patients who were censored."""
    rng = np.random.default_rng(size + 5)
    for _ in range(8):
        rows, events = rng.normal(0, 1, (4, size)), rng.choice([0.0, 1.0, 2.0], 4)
        hazard, within, sds = rng.exponential(1, 4), rng.exponential(1), rng.uniform(0.1, 1, size + 1)
        none, more = np.zeros((0, size)), hazard + within * (np.arange(4) == 2)
        plain = [np.exp(one(events, part, rows, [], [], none, sds)) for part in (hazard, more)]
        found = one(events, hazard, rows, [within], [1.0], rows[2], sds)
        assert np.exp(found) == pytest.approx(plain[0] - plain[1], abs=(3e-9 if size == 1 else 3e-7) * plain[0])
        # An interval of double weight is two, and a certain event nothing.
        twice = one(events, hazard, rows, [within, within], [1.0, 1.0], rows[[2, 2]], sds)
        assert one(events, hazard, rows, [within], [2.0], rows[2], sds) == pytest.approx(twice, abs=3e-7)
        certain = one(events, hazard, rows, [within, 1e300], [1.0, 3.0], rows[[2, 0]], sds)
        assert certain == pytest.approx(found, abs=2e-9 if size == 1 else 3e-7)


@pytest.mark.parametrize(("size", "error"), [(1, 1.2e-9), (2, 2e-7), (3, 2e-7)])
@pytest.mark.parametrize("wide", [1.0, 4.0])
def test_steps_are_short_enough(size, error, wide, monkeypatch):
    """The bound on the rule's error holds: a far finer lattice has the same sum."""
    rng = np.random.default_rng(11)
    cases = []
    for _ in range({1: 60, 2: 12, 3: 4}[size]):
        count, hidden = rng.integers(2, 9), rng.integers(0, 4)
        rows = rng.normal(0, 1, (count + hidden, size)) if rng.uniform() < 0.5 else rng.integers(0, 2, (count + hidden, size))
        sds = wide * np.where(rng.uniform(size=size + 1) < 0.3, 10 ** rng.uniform(-6, -1), rng.uniform(0.1, 0.8, size + 1))
        events, hazard = rng.choice([0.0, 1.0, 8.0], count), 10 ** rng.uniform(-4, 1.5, count)
        cases.append((events, hazard, rows[:count], 10 ** rng.uniform(-5, 2, hidden), np.ones(hidden), rows[count:], sds))
    found = [one(*case) for case in cases]
    monkeypatch.setitem(slope_integral.ERRORS, size, slope_integral.ERRORS[size] * 1e-3)
    monkeypatch.setitem(slope_integral.FALLEN, size, 32.0)
    np.testing.assert_allclose(found, [one(*case) for case in cases], atol=error, rtol=0)


def test_lattice_of_too_many_nodes_is_made_coarser(monkeypatch):
    case = ([2.0, 1.0], [1e-3, 2.0], [0.0, 1.0], [], [], np.zeros((0, 1)), [1.0, 1.5])
    found = one(*case)
    monkeypatch.setattr(slope_integral, "MOST_NODES", 100.0)
    coarse = one(*case)
    assert coarse != found
    assert coarse == pytest.approx(found, abs=1e-2)


def test_integral_is_never_not_a_number():
    logs = [-np.inf, -1e4, 0, 50, 1e6, np.inf]
    first, second, within = (np.array(part) for part in zip(*product(logs, logs, [-np.inf, -1e4, 0, 800]), strict=True))
    ones, rows = np.ones(first.size), np.array([[0.0], [1.0]])
    for sd, slope_sd in product([0.0, 1e-6, 0.5, 5.0], [0.0, 0.5, 100.0]):
        for events in (np.zeros(2), np.array([30.0, 20.0])):
            found = log_site_integral_with_slopes(
                events,
                np.column_stack([first, second]),
                rows,
                np.column_stack([within, -ones]),
                np.array([1.0, 0.7]),
                rows,
                site_sd=sd * ones,
                slope_sd=slope_sd * ones[:, None],
            )
            assert np.isneginf(found[np.isneginf(within)]).all()
            assert np.isfinite(found[~np.isneginf(within)]).all()


@pytest.mark.parametrize(
    ("log_hazard", "rows", "sds"),
    [
        ([210.0, -270.0], [[19.9, 48.7], [47.7, 9.5]], [1e-5, 6.0, 1.3]),
        ([1.64707672e12, 2.92380377e11], [[7.266308055336], [-32.1554652515026]], [7.05348434e-06, 3.73439292]),
        ([-9e9, 2.5e10], [[47.5], [-3.5]], [3e-5, 25.4]),
    ],
)
def test_likelihoods_next_to_nothing(log_hazard, rows, sds):
    """Curvatures that cannot be inverted, and steps to the mode of which none leads up."""
    none = np.zeros((0, len(sds) - 1))
    logs, sds = np.array([log_hazard]), np.array([sds])
    found = log_site_integral_with_slopes(
        np.array([1000.0, 0.0]), logs, np.array(rows), np.zeros((1, 0)), np.zeros(0), none, **of(sds)
    )
    assert np.isfinite(found).all()


def test_hazards_that_are_no_numbers():
    """An event that is certain at an average site, and by a hazard beyond all numbers: log(h) = 800, at sites of sd 200."""
    rows, none = np.array([[0.0], [1.0]]), np.full((1, 2), -np.inf)
    options = {"site_sd": np.full(1, 200.0), "slope_sd": np.full((1, 1), 1e-6)}
    for weight in (1.0, 2.0):
        found = log_site_integral_with_slopes(
            np.zeros(2), none, rows, np.full((1, 1), 800.0), np.full(1, weight), rows[:1], **options
        )
        points = np.linspace(-1600, 1600, 320001)
        chance = (-np.expm1(-np.exp(np.minimum(points + 800, 700)))) ** weight
        assert found[0] == pytest.approx(np.log(norm.pdf(points, 0, 200) @ chance * 0.01), abs=2e-9)
    # Beyond them, a hazard goes on growing.
    nobody = np.zeros(0)
    falls = [slope_lattice.fall(place, (0.0, 0.0, 0.0, 700.0, 1.0), (nobody, nobody), nobody) for place in (0, 20, 40)]
    assert np.isfinite(falls).all()
    assert falls[0] < falls[1] < falls[2]


def many_draws(draws, size):
    """Arguments of the integral for one site with many patients, half of them with intervals, and the sds."""
    rng = np.random.default_rng(2)
    hazard, within = rng.gamma(1, 0.3, (draws, size)), rng.gamma(1, 0.3, (draws, size // 2))
    rows, weight = rng.normal(0, 1, (size, 1)), rng.uniform(0.5, 2, size // 2)
    arguments = (np.zeros(size), np.log(hazard), rows, np.log(within), weight, rows[: size // 2])
    return arguments, np.abs(rng.normal(0, 0.4, (draws, 2)))


def test_draws_are_taken_in_blocks(monkeypatch):
    (events, log_hazard, rows, log_within, weight, rows_within), sds = many_draws(2000, 100)
    found = log_site_integral_with_slopes(events, log_hazard, rows, log_within, weight, rows_within, **of(sds))
    for draw in (0, 700, 1310, 1999):
        own = one(events, np.exp(log_hazard[draw]), rows, np.exp(log_within[draw]), weight, rows_within, sds[draw])
        assert found[draw] == pytest.approx(own, abs=1e-10)
    arguments, sds = many_draws(20000, 100)
    monkeypatch.setattr(slope_integral, "lattice_sums", lambda *_: None)  # needs time but no memory
    tracemalloc.start()
    log_site_integral_with_slopes(*arguments, **of(sds))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6


def of(sds):
    return {"site_sd": sds[:, 0], "slope_sd": sds[:, 1:]}


def test_integral_over_no_spread_of_slopes_is_that_over_the_effect():
    for sd, events, hazard in product([1e-6, 0.4, 3.0], [0.0, 3.0], [0.1, 20.0]):
        expected = log_site_integral(2 * events, np.array([3 * hazard]), site_sd=np.array([sd]))[0]
        found = one([events, events], [hazard, 2 * hazard], [0.0, 5.0], [], [], np.zeros((0, 1)), [sd, 1e-12])
        assert found == pytest.approx(expected, abs=2e-9)
