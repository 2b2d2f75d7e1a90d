"""The PyMC model: readable names, dims and data."""

import numpy as np
import pytest

import sitewise as sw

FORMULA = "Surv(start, months, died) ~ ecog + age + (1 | hospital)"


@pytest.fixture(scope="module")
def cohort(make_frame, read):
    return read(make_frame(40), entry="start", weights="weight")


def test_dims_coordinates_and_data(cohort):
    model = sw.ModelSpec.from_formula(FORMULA).to_pymc(cohort)
    assert {name: list(values) for name, values in model.coords.items()} == {
        "patient": list(range(40)),
        "term": ["ecog[>=1]", "age"],
        "site": ["1", "2", "3", "4"],
    }
    assert [variable.name for variable in model.data_vars] == [
        *("log_time", "event", "log_entry", "entered_late", "weight", "covariates", "site_index"),
    ]
    dims = model.named_vars_to_dims
    assert dims["covariates"] == ("patient", "term")
    assert dims["log_hazard_ratio"] == ("term",)
    assert dims["site_effect"] == ("site",)
    assert dims["survival_time"] == ("patient",)
    np.testing.assert_allclose(np.exp(model["log_time"].get_value()), cohort.time, rtol=1e-12)
    assert [variable.name for variable in model.observed_RVs] == ["survival_time"]


@pytest.mark.parametrize(
    ("options", "free"),
    [
        ({}, ["shape", "log_hazard_ratio", "site_sd", "site_effect_standardised", "log_median_at_means"]),
        (
            {"sites": sw.RandomSites(centred=True)},
            ["shape", "log_hazard_ratio", "site_sd", "site_effect", "log_median_at_means"],
        ),
        ({"sites": sw.FixedSites()}, ["shape", "log_hazard_ratio", "site_effect", "log_median_at_means"]),
        ({"sites": sw.NoSites()}, ["shape", "log_hazard_ratio", "log_median_at_means"]),
        ({"metric": "time-ratio", "sites": sw.NoSites()}, ["shape", "log_time_ratio", "log_median_at_means"]),
        ({"family": sw.Exponential(), "sites": sw.NoSites()}, ["log_hazard_ratio", "log_median_at_means"]),
    ],
)
def test_parameters_of_each_kind_of_model(options, free, cohort):
    model = sw.ModelSpec.from_formula(FORMULA, **options).to_pymc(cohort)
    assert [variable.name for variable in model.free_RVs] == free
    assert {"log_scale", "log_scale_at_means"} <= {variable.name for variable in model.deterministics}


def test_fixed_sites_sum_to_zero(cohort):
    import pymc as pm
    from pytensor.compile.mode import Mode

    model = sw.ModelSpec.from_formula(FORMULA, sites=sw.FixedSites()).to_pymc(cohort)
    drawn = pm.draw(model["site_effect"], draws=5, random_seed=1, mode=Mode(linker="py", optimizer=None))
    np.testing.assert_allclose(drawn.sum(axis=1), 0.0, atol=1e-12)
    assert drawn.std() > 0.1


def test_a_model_without_terms_has_no_term_dimension(cohort):
    model = sw.ModelSpec.from_formula("Surv(start, months, died) ~ 1").to_pymc(cohort)
    assert list(model.coords) == ["patient"]
    assert "covariates" not in model.named_vars


def test_building_is_from_the_resolved_priors(cohort, make_frame, read, interpreted):
    """A resolved spec on new patients keeps its numbers: the same prior density at the same point."""
    spec = sw.ModelSpec.from_formula("Surv(months, died) ~ age").resolve(cohort := read(make_frame(40)))
    other = read(make_frame(25, seed=4))
    values = []
    for patients in (cohort, other):
        model = spec.to_pymc(patients)
        point = {"shape_log__": np.array(0.2), "log_hazard_ratio": np.array([0.03]), "log_median_at_means": np.array(2.0)}
        values.append(float(interpreted(model, model.logp(vars=model.free_RVs))(point)))
    assert values[0] == pytest.approx(values[1], abs=1e-12)
