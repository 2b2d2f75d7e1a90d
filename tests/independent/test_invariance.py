"""What must not matter: the time unit, how labels are typed, the order of terms and levels, an entry of zero.

Log densities are compared as the package computes them (same PyMC constants on both sides), so that the only differences are
rounding: 1e-9 on values of some hundred, and 1e-12 where the arithmetic is the same.
"""

import numpy as np
import pandas as pd
import pytest

import sitewise as sw

FORMULA = "Surv(months, died) ~ ecog + age + stage + (1 | hospital)"
PER_MONTH = {"months": 1.0, "years": 1 / 12, "days": 365.25 / 12}


@pytest.fixture(scope="module")
def frame(make_frame):
    return make_frame(60, seed=11)


@pytest.fixture(scope="module")
def evaluate(interpreted):
    """A function that makes the joint log density of a spec on a cohort."""

    def make(spec, cohort):
        model = spec.to_pymc(cohort)
        return model, interpreted(model, model.logp())

    return make


def points_of(model, count=3, seed=3):
    rng = np.random.default_rng(seed)
    for _ in range(count):
        yield {
            name: np.asarray(start, dtype=float) + (0.02 if "ratio" in name else 0.3) * rng.standard_normal(np.shape(start))
            for name, start in model.initial_point().items()
        }


@pytest.mark.parametrize("metric", ["hazard-ratio", "time-ratio"])
@pytest.mark.parametrize("guarantee", [0.0, 1.95])
@pytest.mark.parametrize("unit", ["days", "years"])
def test_days_months_and_years_are_the_same_model(frame, read, evaluate, unit, guarantee, metric):
    """f_unit(t u) = f_month(t) / u for each event, so densities differ by (weighted events) x log u.

    The default prior of the median moves with the unit (its density over log time does not change), the coefficients, the
    shape and the site spread have none. Both resolve their own priors: nothing is carried over.
    """
    months = frame.assign(months=frame["months"] + guarantee, start=frame["start"] + 0.0)
    factor = PER_MONTH[unit]
    other = months.assign(months=months["months"] * factor, start=months["start"] * factor)
    options = {"entry": "start", "weights": "weight"}
    formula = FORMULA.replace("Surv(", "Surv(start, ")
    density = {}
    for name, table, g in (("months", months, guarantee), (unit, other, guarantee * factor)):
        spec = sw.ModelSpec.from_formula(formula, metric=metric, guarantee_time=g)
        density[name] = evaluate(spec, read(table, time_unit=name, **options))
    jacobian = np.sum(frame["weight"] * frame["died"]) * np.log(factor)
    for point in points_of(density["months"][0]):
        moved = {**point, "log_median_at_means": point["log_median_at_means"] + np.log(factor)}
        assert density[unit][1](moved) + jacobian == pytest.approx(density["months"][1](point), abs=1e-9)


LABELS = {
    "string": lambda hospital: hospital.astype(str),
    "padded string": lambda hospital: " " + hospital.astype(str) + " ",
    "float": lambda hospital: hospital.astype(float),
    "integer with missing type": lambda hospital: hospital.astype("Int64"),
    "categorical of strings": lambda hospital: hospital.astype(str).astype("category"),
    "categorical of integers, last first": lambda hospital: pd.Categorical(hospital, categories=range(12, 0, -1)),
}


@pytest.mark.parametrize("kind", LABELS)
def test_site_labels_of_any_type_are_the_same_sites(make_frame, read, evaluate, kind):
    """Twelve hospitals, so that text order ("10" before "2") would differ from natural order."""
    frame = make_frame(60, seed=11, hospitals=12)
    spec = sw.ModelSpec.from_formula(FORMULA)
    base_cohort = read(frame)
    other_cohort = read(frame.assign(hospital=LABELS[kind](frame["hospital"])))
    assert other_cohort.site_labels == tuple(str(number) for number in range(1, 13)) == base_cohort.site_labels
    model, base = evaluate(spec, base_cohort)
    _, other = evaluate(spec, other_cohort)
    for point in points_of(model):
        assert other(point) == pytest.approx(float(base(point)), abs=1e-9)


def test_rows_in_another_order_are_the_same_cohort(frame, read, evaluate):
    spec = sw.ModelSpec.from_formula(FORMULA)
    model, base = evaluate(spec, read(frame))
    _, other = evaluate(spec, read(frame.sample(frac=1, random_state=1)))
    for point in points_of(model):
        assert other(point) == pytest.approx(float(base(point)), abs=1e-9)


def test_terms_in_another_order_are_the_same_model(frame, read, evaluate):
    cohort = read(frame)
    one = sw.ModelSpec.from_formula(FORMULA).resolve(cohort)
    two = sw.ModelSpec.from_formula("Surv(months, died) ~ (1 | hospital) + stage + age + ecog").resolve(cohort)
    assert one.resolved.columns != two.resolved.columns
    position = [one.resolved.columns.index(column) for column in two.resolved.columns]
    model, base = evaluate(one, cohort)
    _, other = evaluate(two, cohort)
    for point in points_of(model):
        moved = {**point, "log_hazard_ratio": point["log_hazard_ratio"][position]}
        assert other(moved) == pytest.approx(float(base(point)), abs=1e-9)


def test_levels_in_another_order_are_the_same_model(frame, read, evaluate):
    """The reference stays; the other levels change places, and their coefficients with them."""
    one, two = read(frame), read(frame, levels={"stage": ["I", "III", "II"]})
    spec_one, spec_two = (sw.ModelSpec.from_formula(FORMULA).resolve(cohort) for cohort in (one, two))
    position = [spec_one.resolved.columns.index(column) for column in spec_two.resolved.columns]
    assert position != sorted(position)
    model, base = evaluate(spec_one, one)
    _, other = evaluate(spec_two, two)
    for point in points_of(model):
        moved = {**point, "log_hazard_ratio": point["log_hazard_ratio"][position]}
        assert other(moved) == pytest.approx(float(base(point)), abs=1e-9)


def test_another_reference_level_is_the_same_likelihood(frame, read, interpreted):
    """With reference III, beta'[I] = -beta[III] and beta'[II] = beta[II] - beta[III]; the level at the means is the same."""
    densities = []
    for options in ({}, {"reference": {"stage": "III"}}):
        cohort = read(frame, **options)
        model = sw.ModelSpec.from_formula(FORMULA).to_pymc(cohort)
        each = model.logp(vars=[model["survival_time"]], jacobian=False)
        densities.append((model, interpreted(model, each)))
    (model, base), (turned, other) = densities
    assert list(model.coords["term"]) == ["ecog[>=1]", "age", "stage[II]", "stage[III]"]
    assert list(turned.coords["term"]) == ["ecog[>=1]", "age", "stage[I]", "stage[II]"]
    for point in points_of(model):
        ecog, age, second, third = point["log_hazard_ratio"]
        moved = {**point, "log_hazard_ratio": np.array([ecog, age, -third, second - third])}
        assert other(moved) == pytest.approx(float(base(point)), abs=1e-9)


def test_a_rescaled_covariate_is_the_same_model(frame, read, evaluate):
    """Age in decades: the default prior is per sd of the column, so the density over the standardised effect is the same."""
    spec = sw.ModelSpec.from_formula(FORMULA)
    model, base = evaluate(spec, read(frame))
    _, other = evaluate(spec, read(frame.assign(age=frame["age"] / 10)))
    age = list(model.coords["term"]).index("age")
    for point in points_of(model):
        effect = point["log_hazard_ratio"].copy()
        effect[age] *= 10
        # p(10 beta) over 10 times the sd: the density falls by the factor 10.
        assert other({**point, "log_hazard_ratio": effect}) + np.log(10) == pytest.approx(float(base(point)), abs=1e-9)


def test_entry_of_zero_is_no_entry(frame, read, evaluate):
    spec = sw.ModelSpec.from_formula(FORMULA)
    late = sw.ModelSpec.from_formula(FORMULA.replace("Surv(", "Surv(start, "))
    model, base = evaluate(spec, read(frame))
    _, other = evaluate(late, read(frame.assign(start=0.0), entry="start"))
    for point in points_of(model):
        assert other(point) == pytest.approx(float(base(point)), abs=1e-12)


def test_entry_of_zero_among_late_entries_adds_nothing(frame, read, interpreted):
    """One patient enters late; the others' terms must be those of no entry at all, to rounding (1e-12)."""
    start = np.where(np.arange(len(frame)) == 5, 0.5 * frame["months"], 0.0)
    each = []
    for table, formula, entry in (
        (frame, FORMULA, None),
        (frame.assign(start=start), FORMULA.replace("Surv(", "Surv(start, "), "start"),
    ):
        model = sw.ModelSpec.from_formula(formula).to_pymc(read(table, entry=entry))
        graph = model.logp(vars=[model["survival_time"]], jacobian=False, sum=False)[0]
        each.append(interpreted(model, graph))
    for point in points_of(model):
        difference = each[1](point) - each[0](point)
        np.testing.assert_allclose(np.delete(difference, 5), 0.0, atol=1e-12)
        assert difference[5] > 1e-4  # + H(entry)


def test_entry_before_the_guarantee_time_is_no_entry(frame, read, evaluate):
    """Nobody can be lost before the guarantee time, so coming under observation before it selects nobody."""
    moved = frame.assign(months=frame["months"] + 2.0)
    spec = sw.ModelSpec.from_formula(FORMULA, guarantee_time=2.0)
    late = sw.ModelSpec.from_formula(FORMULA.replace("Surv(", "Surv(start, "), guarantee_time=2.0)
    model, base = evaluate(spec, read(moved))
    starts = np.tile([0.0, 0.7, 2.0], len(frame) // 3)
    _, other = evaluate(late, read(moved.assign(start=starts), entry="start"))
    for point in points_of(model):
        assert other(point) == pytest.approx(float(base(point)), abs=1e-12)


def test_a_weight_of_two_is_the_patient_twice(frame, read, interpreted):
    """The likelihood of 10 patients of weight 2 is that of the table with their rows repeated, at the same covariate means."""
    double = np.arange(len(frame)) < 10
    weighted = read(frame.assign(weight=np.where(double, 2.0, 1.0)), weights="weight")
    spec = sw.ModelSpec.from_formula(FORMULA).resolve(weighted)
    repeated = read(pd.concat([frame, frame[double]], ignore_index=True))
    likelihoods = []
    for cohort in (weighted, repeated):
        model = spec.to_pymc(cohort)
        likelihoods.append(interpreted(model, model.logp(vars=[model["survival_time"]], jacobian=False)))
    for point in points_of(model):
        assert likelihoods[1](point) == pytest.approx(float(likelihoods[0](point)), abs=1e-9)


def test_a_zero_guarantee_time_is_the_plain_weibull(frame, read, evaluate):
    cohort = read(frame)
    model, base = evaluate(sw.ModelSpec.from_formula(FORMULA), cohort)
    _, other = evaluate(sw.ModelSpec.from_formula(FORMULA, guarantee_time=0.0), cohort)
    _, moved = evaluate(
        sw.ModelSpec.from_formula(FORMULA, guarantee_time=2.5), read(frame.assign(months=frame["months"] + 2.5))
    )
    for point in points_of(model):
        assert other(point) == pytest.approx(float(base(point)), abs=1e-12)
        assert moved(point) == pytest.approx(float(base(point)), abs=1e-9)
