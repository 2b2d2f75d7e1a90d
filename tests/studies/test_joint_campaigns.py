"""Campaigns keep what joint priors sample, each number once, under its own name."""

import numpy as np

import sitewise as sw
from sitewise.inference.packing import as_dataset
from sitewise.inference.prior import prior_draws
from sitewise.models.resolve import prepare
from sitewise.studies.drawn_cohorts import one_draw
from sitewise.studies.replication.quantities import Summaries, quantities


def test_quantities_of_joint_priors(make_frame):
    frame = make_frame(40).assign(grade=np.arange(40) % 3)
    cohort = sw.Cohort.from_frame(frame, time="months", event="died", covariates=["ecog", "age", "stage", "grade"])
    priors = sw.Priors(
        coefficients=sw.RegularisedHorseshoe(expected_nonzero=0.5),
        terms={"stage": sw.Exchangeable(), "age": sw.Prior("NormalMixture", w=[0.5, 0.5], mu=[0, 0], sigma=[0.1, 1])},
    )
    spec = sw.ModelSpec(terms=("ecog", "age", "stage", "mo(grade)"), sites=sw.NoSites(), priors=priors).resolve(cohort)
    drawn = prior_draws(spec, prepare(spec, cohort), draws=6, seed=1)
    variables = {str(name): values.to_numpy()[0] for name, values in drawn.data_vars.items()}
    found, values = quantities(spec, variables, Summaries(times=(6.0,)))
    assert values.shape == (6, len(found))
    assert len(set(found)) == len(found)
    kept = dict(zip(found, values.T, strict=True))
    np.testing.assert_array_equal(kept["monotone_total[mo(grade)]"], variables["monotone_total[mo(grade)]"])
    np.testing.assert_array_equal(
        kept["monotone_increment[mo(grade)][mo(grade)[>=2]]"], variables["monotone_increment[mo(grade)]"][:, 1]
    )
    np.testing.assert_array_equal(kept["log_hazard_ratio[age]"], variables["log_hazard_ratio[age]"])
    assert not any(name.startswith("standardised_coefficient") for name in found)
    again = as_dataset(spec, {name: each[None] for name, each in variables.items()})
    assert again.equals(drawn)
    assert one_draw(spec, {name: each[:1] for name, each in variables.items()}).equals(drawn.isel(draw=[0]))
