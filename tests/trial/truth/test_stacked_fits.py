"""Joint draws from the stacked fits of several cohorts: each row belongs to one cohort, with that cohort's case mix."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

import sitewise as sw
from sitewise.problems import TrialError
from sitewise.studies import evidence_stack
from sitewise.studies.evidence_fit import EvidenceFit, Member
from sitewise.studies.evidence_pool import pooled
from sitewise.trial.plan.criteria import Criterion
from sitewise.trial.plan.truth import Effect
from sitewise.trial.truth import Truth
from sitewise.trial.truth.true_values import true_value

GROUPS = sw.RiskGroups.count_favourable(ecog="0", stage=["I", "II"])
GUARANTEE = (0.01, 0.03)


@pytest.fixture(scope="module")
def stack(make_frame):
    """Two cohorts with the same columns and other patients, as a stack without a paper behind it."""
    cohorts = [
        sw.Cohort.from_frame(
            make_frame(80, seed=seed),
            time="months",
            event="died",
            site="hospital",
            covariates=["ecog", "stage"],
            time_unit="months",
        )
        for seed in (1, 2)
    ]
    spec = sw.ModelSpec(terms=("ecog", "stage"), response=("months", "died"), group="hospital")
    members = [
        Member(place, place, own, own, cohort) for place, (own, cohort) in enumerate(zip(GUARANTEE, cohorts, strict=True))
    ]
    spec = pooled(spec, members)
    fits = [
        sw.fit(replace(spec, guarantee_time=item.guarantee_time), item.known, engine=sw.NestedLaplace(draws=200), seed=7)
        for item in members
    ]
    tree = sw_tree([evidence_stack._parameters(item) for item in fits])
    tree.attrs["evidence_hash"] = "hash"
    made = EvidenceFit(
        produced=SimpleNamespace(problem=SimpleNamespace(evidence=SimpleNamespace(id="paper"))),
        spec=spec,
        suggested=None,
        members=tuple(replace(item, verdict=own.verdict) for item, own in zip(members, fits, strict=True)),
        tree=tree,
        curves=None,
        last_time=None,
        groups=GROUPS,
        times=(),
        horizon=1.0,
        sites=(),
        engine="nested-laplace",
        settings={},
        endpoint="os",
        seed=1,
    )
    return made, fits


def sw_tree(parts):
    import xarray as xr

    return xr.DataTree.from_dict({"posterior": evidence_stack._along_cohorts(parts, list(range(len(parts))))})


def test_each_row_has_the_curve_of_its_own_cohort(stack):
    made, fits = stack
    truth = Truth.from_posterior(made, cohort_arm="experimental", effect=Effect(0.8))
    assert truth.rows == 400
    assert truth.groups == ("2 of 2 favourable", "1 of 2 favourable", "0 of 2 favourable")
    assert len(np.unique(truth.shares, axis=0)) == 2
    for group in truth.groups:
        # Without the guarantee time a curve is where the fit's is that much later.
        own = [
            sw.survival(item, groups=GROUPS, sites=sw.Marginal(), times=[12.0 + late]).sel(group=group).values.ravel()
            for item, late in zip(fits, GUARANTEE, strict=True)
        ]
        criterion = Criterion("alive", "survival", above=0.5, at=12.0, group=group)
        np.testing.assert_allclose(true_value(truth, criterion), np.concatenate(own), atol=2e-6)
    assert truth.source_hash == "hash"
    assert any("0.02 months is dropped" in note for note in truth.notes)


def test_thinned_rows_keep_their_cohorts_case_mix(stack):
    made, _ = stack
    whole = Truth.from_posterior(made, cohort_arm="control", effect=Effect(0.8))
    some = Truth.from_posterior(made, cohort_arm="control", effect=Effect(0.8), rows=60, seed=5)
    for row in range(some.rows):
        place = np.flatnonzero(whole.log_scale == some.log_scale[row])[0]
        np.testing.assert_array_equal(some.shares[row], whole.shares[place])
        np.testing.assert_array_equal(some.index[row], whole.index[place])


def test_guarantee_times_that_differ_cannot_be_kept(stack):
    with pytest.raises(TrialError, match=r"from 0.01 to 0.03 months; to keep it, one is needed"):
        Truth.from_posterior(
            stack[0], cohort_arm="control", effect=Effect(0.8), guarantee_time="keep", guarantee_reason="because"
        )


def test_a_stack_that_lost_its_cohorts_is_refused(stack):
    made, _ = stack
    lost = replace(made, members=(made.members[0], replace(made.members[1], reason="no")))
    with pytest.raises(TrialError, match="Only 50 % of the cohorts"):
        Truth.from_posterior(lost, cohort_arm="control", effect=Effect(0.8))
