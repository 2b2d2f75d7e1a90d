"""Specs as frozen data: round trips, resolution once, and the checks of a cohort against a spec."""

import json

import numpy as np
import pytest

import sitewise as sw
from sitewise.models.resolve import prepare

FORMULA = "Surv(months, died) ~ ecog + age + stage + (1 | hospital)"
NORMAL = sw.Prior("Normal", mu=0.0, sigma=2.0)

SPECS = {
    "defaults": sw.ModelSpec(),
    "formula": sw.ModelSpec.from_formula(FORMULA),
    "time ratios, guarantee": sw.ModelSpec.from_formula(FORMULA, metric="time-ratio", guarantee_time=0.01),
    "exponential, no sites": sw.ModelSpec.from_formula("Surv(months, died) ~ scale(age)*ecog", family=sw.Exponential()),
    "fixed sites, priors": sw.ModelSpec.from_formula(
        FORMULA,
        sites=sw.FixedSites(),
        priors=sw.Priors(
            shape=sw.Prior("Gamma", alpha=2, beta=2),
            coefficients=NORMAL,
            terms={"age": NORMAL, "stage[III]": sw.Prior("StudentT", nu=3, mu=0, sigma=1)},
            log_scale=NORMAL,
            site_effects=sw.Prior("ZeroSumNormal", sigma=0.5),
        ),
    ),
    "centred, priors": sw.ModelSpec.from_formula(
        FORMULA,
        sites=sw.RandomSites(centred=True),
        priors=sw.Priors(site_sd=sw.Prior("Exponential", lam=3.0), log_scale_at_means=NORMAL),
    ),
}


@pytest.fixture(scope="module")
def cohort(make_frame, read):
    return read(make_frame(50))


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("resolved", [False, True])
def test_round_trip_through_json(name, resolved, cohort):
    spec = SPECS[name].resolve(cohort) if resolved else SPECS[name]
    text = json.dumps(spec.to_dict())
    again = sw.ModelSpec.from_dict(json.loads(text))
    assert again == spec
    assert json.dumps(again.to_dict()) == text
    if resolved:
        assert again.resolved == spec.resolved
        assert again.resolve(cohort) is again


def test_another_version_of_the_format_is_refused():
    data = {**sw.ModelSpec().to_dict(), "version": 99}
    with pytest.raises(sw.SpecError, match="The spec has version 99; this Sitewise reads version 1"):
        sw.ModelSpec.from_dict(data)


def test_options_are_checked():
    with pytest.raises(sw.SpecError, match=r"^metric is 'hazard'\. Did you mean 'hazard-ratio'\?$"):
        sw.ModelSpec(metric="hazard")
    for wrong in (-1.0, float("inf"), float("nan")):
        with pytest.raises(sw.SpecError, match="it must be zero or a positive time"):
            sw.ModelSpec(guarantee_time=wrong)


def test_resolving_happens_once(cohort, make_frame, read):
    spec = sw.ModelSpec.from_formula(FORMULA)
    with pytest.raises(sw.SpecError, match=r"^This spec is not resolved: call spec\.resolve\(cohort\) first"):
        spec.resolved  # noqa: B018
    resolved = spec.resolve(cohort)
    assert resolved.resolve(cohort) is resolved
    assert resolved.resolve(read(make_frame(50, seed=9))) is resolved
    assert spec.resolution is None
    assert resolved.without_resolution() == spec


def test_what_is_resolved(make_frame, read):
    """Every number that a spec takes from its cohort, from the table by hand."""
    frame = make_frame(50)
    cohort = read(frame, entry="start", weights="weight", time_unit="years")
    spec = sw.ModelSpec.from_formula("Surv(start, months, died) ~ ecog + age + stage + (1 | hospital)").resolve(cohort)
    found = spec.resolved
    assert found.columns == ("ecog[>=1]", "age", "stage[II]", "stage[III]")
    ecog, stage = frame["ecog"] == ">=1", frame["stage"]
    columns = [ecog, frame["age"], stage == "II", stage == "III"]
    np.testing.assert_allclose(found.means, [column.mean() for column in columns], rtol=1e-12)
    assert found.reference == (0.0, float(np.median(frame["age"])), 0.0, 0.0)
    assert dict(found.reference_patient) == {"ecog": "0", "age": float(np.median(frame["age"])), "stage": "I"}
    assert dict(found.levels) == {"ecog": ("0", ">=1"), "stage": ("I", "II", "III")}
    assert found.site_labels == ("1", "2", "3", "4")
    assert found.data_hash == cohort.data_hash
    assert found.time_unit == "years"

    assert found.shape == (sw.Prior("LogNormal", mu=0, sigma=0.5),)
    unit, age = sw.Prior("Normal", mu=0, sigma=1), sw.Prior("Normal", mu=0, sigma=1 / frame["age"].std())
    assert [prior.dist for prior in found.coefficients] == ["Normal"] * 4
    sds = [prior.values["sigma"] for prior in found.coefficients]
    assert sds == pytest.approx([1.0, age.values["sigma"], 1.0, 1.0], rel=1e-12)
    assert found.coefficients[0] == unit
    assert found.site_sd == sw.Prior("HalfNormal", sigma=0.5)
    assert found.site_effects is None
    person_time = (frame["weight"] * (frame["months"] - frame["start"])).sum()
    events = (frame["weight"] * frame["died"]).sum()
    assert found.baseline == "log_median"
    assert found.baseline_prior.dist == "Normal"
    assert found.baseline_prior.values["sigma"] == 1.5
    assert found.baseline_prior.values["mu"] == pytest.approx(np.log(np.log(2) * person_time / events), rel=1e-12)


def test_the_default_baseline_is_beyond_the_guarantee_time(make_frame, read):
    frame = make_frame(50, guarantee=2.0)
    spec = sw.ModelSpec.from_formula("Surv(months, died) ~ 1", guarantee_time=2.0).resolve(read(frame))
    guess = np.log(np.log(2) * (frame["months"] - 2.0).sum() / frame["died"].sum())
    assert spec.resolved.baseline_prior.values["mu"] == pytest.approx(guess, rel=1e-12)


def test_default_priors_of_transforms_and_interactions(make_frame, read):
    """One sd of the column as it enters; a product of a category and a number is such a column too."""
    frame = make_frame(50)
    spec = sw.ModelSpec.from_formula("Surv(months, died) ~ np.log(age) + ecog:age + ecog:stage").resolve(read(frame))
    sds = dict(zip(spec.resolved.columns, (prior.values["sigma"] for prior in spec.resolved.coefficients), strict=True))
    assert sds["np.log(age)"] == pytest.approx(1 / np.log(frame["age"]).std(), rel=1e-12)
    product = np.where(frame["ecog"] == ">=1", frame["age"], 0.0)
    assert sds["ecog[>=1]:age"] == pytest.approx(1 / product.std(ddof=1), rel=1e-12)
    assert all(sd == 1.0 for name, sd in sds.items() if "stage" in name)
    assert any("stage" in name for name in sds)


def test_user_priors_win_by_column_then_term_then_all(cohort):
    each = [sw.Prior("Normal", mu=float(mean), sigma=1) for mean in range(3)]
    priors = sw.Priors(coefficients=each[0], terms={"stage": each[1], "stage[III]": each[2]})
    spec = sw.ModelSpec.from_formula(FORMULA, priors=priors).resolve(cohort)
    found = dict(zip(spec.resolved.columns, spec.resolved.coefficients, strict=True))
    assert found == {"ecog[>=1]": each[0], "age": each[0], "stage[II]": each[1], "stage[III]": each[2]}


def test_priors_of_nothing_are_refused_all_at_once(cohort):
    priors = sw.Priors(
        shape=sw.Prior("LogNormal", mu=0, sigma=1),
        terms={"agee": NORMAL},
        site_sd=sw.Prior("HalfNormal", sigma=1),
        site_effects=sw.Prior("ZeroSumNormal", sigma=1),
    )
    spec = sw.ModelSpec.from_formula("Surv(months, died) ~ age", family=sw.Exponential(), priors=priors)
    with pytest.raises(sw.SpecError) as caught:
        spec.resolve(cohort)
    assert str(caught.value).splitlines() == [
        "The spec has 4 problems:",
        "  1. prior 'agee': belongs to no term of the model. Did you mean 'age'?",
        "  2. prior 'shape': the exponential family has no shape. Remove it.",
        "  3. prior 'site_sd': the model has no random site effects. Add (1 | site), or remove the prior.",
        "  4. prior 'site_effects': the model has no fixed site effects. Remove it.",
    ]


def test_a_cohort_that_does_not_fit_the_spec_is_told_everything_at_once(make_frame, read):
    frame = make_frame(30).assign(constant=1, gaps=lambda table: table["age"].where(table.index > 1))
    frame["months"] = frame["months"] + 2
    frame.loc[[3, 7], "months"] = 1.5
    cohort = read(frame, site=None, covariates=None)
    spec = sw.ModelSpec.from_formula("Surv(start, time, died) ~ constant + gaps + agee + (1 | hospital)", guarantee_time=2.0)
    with pytest.raises(sw.CohortError) as caught:
        spec.resolve(cohort)
    lines = str(caught.value).splitlines()
    assert lines[0] == "The cohort has 7 problems (rows are counted from 1, without the header):"
    beginnings = [
        "  1. formula: Surv(...) uses 'time' as time, the cohort was read with time = 'months'. Name the same",
        "  2. formula: Surv(...) uses 'start' as entry, the cohort was read with entry = nothing. Name the same",
        "  3. formula: has the site term (1 | hospital), but the cohort was read without a site column. Read it with",
        "  4. column 'months': 2 times are at or before the guarantee time 2 (rows 4, 8). With a guarantee time",
        "  5. column 'agee': is in the formula but not in the cohort. Did you mean 'age'?",
        "  6. column 'constant': is constant",
        "  7. column 'gaps': 2 values are missing (rows 1, 2).",
    ]
    for line, beginning in zip(lines[1:], beginnings, strict=True):
        assert line.startswith(beginning)


def test_sites_that_do_not_fit(make_frame, read):
    frame = make_frame(30)
    with pytest.raises(sw.CohortError, match="has 1 site; a site effect needs at least 2"):
        sw.ModelSpec.from_formula(FORMULA).resolve(read(frame.assign(hospital=1)))
    with pytest.raises(
        sw.CohortError, match=r"groups by 'clinic', but the cohort's site column is 'hospital'.*Write \(1 \| hosp"
    ):
        sw.ModelSpec.from_formula("Surv(months, died) ~ age + (1 | clinic)").resolve(read(frame))


def test_a_cohort_without_events_in_a_subset_is_refused(cohort):
    spec = sw.ModelSpec.from_formula("Surv(months, died) ~ age")
    with pytest.raises(sw.CohortError, match="has no events"):
        spec.resolve(cohort.subset(cohort.event == 0))


def test_a_resolved_spec_refuses_another_unit_other_sites_and_other_levels(make_frame, read):
    frame = make_frame(50)
    spec = sw.ModelSpec.from_formula(FORMULA).resolve(read(frame))
    with pytest.raises(sw.SpecError, match="resolved with times in months, the cohort has days"):
        prepare(spec, read(frame, time_unit="days"))
    with pytest.raises(sw.SpecError, match=r"Sites '5' are not among those that the spec was resolved on"):
        prepare(spec, read(frame.assign(hospital=frame["hospital"] + 1)))
    with pytest.raises(sw.SpecError, match="The cohort gives the design columns"):
        prepare(spec, read(frame, reference={"stage": "III"}))


def test_a_resolved_spec_takes_a_cohort_without_one_of_its_sites(make_frame, read):
    """Sites keep their places: the second hospital is position 1 whether or not the first has patients."""
    frame = make_frame(50)
    spec = sw.ModelSpec.from_formula(FORMULA).resolve(read(frame))
    fewer = frame[frame["hospital"] > 1]
    positions = prepare(spec, read(fewer)).site
    np.testing.assert_array_equal(positions, fewer["hospital"] - 1)
    subset = read(frame).subset((frame["hospital"] > 1).to_numpy())
    np.testing.assert_array_equal(prepare(spec, subset).site, fewer["hospital"] - 1)


def test_the_arrays_of_a_cohort(make_frame, read):
    """What the graph is given: times beyond the guarantee time, entries where they count, centred columns."""
    frame = make_frame(50, guarantee=1.0)
    cohort = read(frame, entry="start", weights="weight")
    spec = sw.ModelSpec.from_formula("Surv(start, months, died) ~ age", guarantee_time=1.0).resolve(cohort)
    data = prepare(spec, cohort)
    np.testing.assert_allclose(np.exp(data.log_time), frame["months"] - 1.0, rtol=1e-12)
    late = frame["start"] > 1.0
    assert late.any()
    np.testing.assert_array_equal(data.entered_late, late.astype(float))
    np.testing.assert_allclose(np.exp(data.log_entry[late]), frame["start"][late] - 1.0, rtol=1e-12)
    assert (data.log_entry[~late] == 0).all()
    np.testing.assert_allclose(data.covariates[:, 0], frame["age"] - frame["age"].mean(), atol=1e-12)
    np.testing.assert_array_equal(data.weight, frame["weight"])
    assert (data.site == 0).all()

    plain = prepare(sw.ModelSpec.from_formula("Surv(months, died) ~ 1").resolve(read(frame)), read(frame))
    assert plain.log_entry is None
    assert plain.entered_late is None
    assert plain.weight is None
    assert plain.covariates.shape == (50, 0)
