"""Priors from a paper's hazard ratios: the right row, the right way round, with the right width."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import sitewise as sw

FORMULA = "Surv(time, event) ~ ecog + child_pugh + (1 | site)"


@pytest.fixture(scope="module")
def krog() -> sw.Evidence:
    return sw.load_evidence("krog-20-04")


@pytest.fixture(scope="module")
def cohort() -> sw.Cohort:
    return sw.simulate(sw.load_scenario("krog-20-04"), seed=1)


def patients(**covariates: list) -> sw.Cohort:
    size = len(next(iter(covariates.values())))
    frame = pd.DataFrame({"time": np.arange(1.0, size + 1), "event": 1, **covariates})
    return sw.Cohort.from_frame(frame, time="time", event="event", time_unit="months")


def test_adjusted_rows_with_their_width(krog, cohort):
    found = sw.published_priors(krog, sw.ModelSpec.from_formula(FORMULA), cohort=cohort, discount=0.25)
    assert list(found.table["term"]) == ["ecog[>=1]", "child_pugh[B]"]
    assert found.table["adjusted"].all()
    # Table 3: performance status 1.840 (1.028-3.295), Child-Pugh class 2.277 (1.153-4.495).
    for term, ratio, lower, upper in (("ecog[>=1]", 1.840, 1.028, 3.295), ("child_pugh[B]", 2.277, 1.153, 4.495)):
        prior = found.priors.terms[term]
        assert prior.dist == "StudentT"
        assert prior.values["mu"] == pytest.approx(np.log(ratio))
        sd = (np.log(upper) - np.log(lower)) / (2 * stats.norm.ppf(0.975))
        assert prior.values["sigma"] == pytest.approx(2 * sd)
    normal = sw.published_priors(krog, sw.ModelSpec.from_formula(FORMULA), cohort=cohort, discount=1, degrees_of_freedom=None)
    assert normal.priors.terms["ecog[>=1]"].dist == "Normal"
    assert repr(found) == "<Published priors of 2 of 2 coefficients>"


def test_a_row_the_other_way_round_is_turned(krog):
    cohort = patients(primary=["uncontrolled", "controlled"] * 4)
    frame = cohort.frame.assign(primary=cohort.covariates["primary"].astype(str))
    turned = sw.Cohort.from_frame(frame, time="time", event="event", time_unit="months", reference={"primary": "uncontrolled"})
    spec = sw.ModelSpec.from_formula("Surv(time, event) ~ primary")
    found = sw.published_priors(krog, spec, cohort=turned)
    assert found.priors.terms["primary[controlled]"].values["mu"] == pytest.approx(-np.log(1.437))
    row = found.table.iloc[0]
    assert (row["hazard_ratio"], row["lower"], row["upper"]) == pytest.approx((1 / 1.437, 1 / 2.484, 1 / 0.831))
    assert "turned round" in row["reason"]


@pytest.mark.parametrize(
    ("labels", "levels"), [(["0", ">=1"], None), (["0", "1-2"], None), (["good", "poor"], {"good": ["0"], "poor": ["1", "2"]})]
)
def test_labels_that_stand_for_several_levels(krog, labels, levels):
    cohort = patients(ecog=labels * 4)
    spec = sw.ModelSpec.from_formula("Surv(time, event) ~ ecog")
    found = sw.published_priors(krog, spec, cohort=cohort, levels={"ecog": levels} if levels else None)
    assert found.table.loc[0, "hazard_ratio"] == 1.840


def test_numeric_and_unknown_covariates(krog):
    cohort = patients(age=[50.0, 60.0, 70.0, 65.0], colour=["a", "b", "a", "b"])
    found = sw.published_priors(krog, sw.ModelSpec.from_formula("Surv(time, event) ~ age + colour"), cohort=cohort)
    table = found.table.set_index("term")
    assert table.loc["age", "hazard_ratio"] == 1.012  # per year; only unadjusted
    assert not table.loc["age", "adjusted"]
    assert not table.loc["colour[b]", "used"]
    assert "does not have this characteristic" in table.loc["colour[b]", "reason"]


def test_a_fit_takes_them_and_a_check_says_where_data_disagree(krog, cohort):
    spec = sw.ModelSpec.from_formula(FORMULA, guarantee_time=1.95)
    informed = replace(spec, priors=sw.published_priors(krog, spec, cohort=cohort).priors)
    plain, fit = (sw.fit(each, cohort, engine=sw.NestedLaplace(draws=1000), seed=1) for each in (spec, informed))
    sds = [sw.log_hazard_ratios(each).std(("chain", "draw")).to_numpy() for each in (plain, fit)]
    assert (sds[1] < sds[0]).all()
    against = cohort.frame.assign(ecog=np.where(cohort.covariates["ecog"] == "0", ">=1", "0"))
    wrong = sw.Cohort.from_frame(against, time="time", event="event", site="site", time_unit="months")
    tight = replace(spec, priors=sw.published_priors(krog, spec, cohort=wrong, discount=1, degrees_of_freedom=None).priors)
    found = sw.check(sw.fit(tight, wrong, engine=sw.NestedLaplace(draws=1000), seed=1), replicates=19, priors=False)
    own = sw.check(fit, replicates=19, priors=False)
    by_name = [each.conflict.set_index("coefficient")["p_value"]["ecog[>=1]"] for each in (found, own)]
    assert by_name[0] < by_name[1]


def test_what_cannot_be_asked_is_refused(krog, cohort):
    spec = sw.ModelSpec.from_formula(FORMULA)
    with pytest.raises(sw.SpecError, match="discount is 0"):
        sw.published_priors(krog, spec, cohort=cohort, discount=0)
    with pytest.raises(sw.SpecError, match="hazard ratios"):
        sw.published_priors(krog, replace(spec, metric="time-ratio"), cohort=cohort)
    with pytest.raises(sw.SpecError, match="has a row in the paper, which has"):
        sw.published_priors(
            krog, sw.ModelSpec.from_formula("Surv(time, event) ~ colour"), cohort=patients(colour=["a", "b", "a", "b"])
        )
