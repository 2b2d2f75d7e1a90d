"""A design in sentences."""

import pytest

from sitewise.report.trial_words import (
    accrual_words,
    analysis_priors,
    arms_words,
    borrowing_words,
    criterion_words,
    effect_words,
    follow_up_words,
    scenario_words,
    trigger_words,
)
from sitewise.trial.plan.accrual import Accrual, Dropout, FollowUp
from sitewise.trial.plan.analysis import AnalysisPlan, MedianPrior, NormalPrior
from sitewise.trial.plan.arms import Arms, FurtherArm
from sitewise.trial.plan.cohorts import BorrowingPlan
from sitewise.trial.plan.criteria import Criterion
from sitewise.trial.plan.looks import Followed, Trigger
from sitewise.trial.plan.scenarios import TrialScenario
from sitewise.trial.plan.truth import Effect, Published


@pytest.mark.parametrize(
    ("when", "words"),
    [
        (Trigger(events=40), "40 events"),
        (Trigger(calendar=24.0), "24 months after the first site opens"),
        (Trigger(enrolled=60), "60 patients enrolled"),
        (Trigger(followed=Followed(30, 6.0)), "30 patients who entered 6 months ago or earlier"),
        (
            Trigger(any=(Trigger(events=40), Trigger(calendar=24.0))),
            "the first of: 40 events; 24 months after the first site opens",
        ),
        (Trigger(all=(Trigger(events=40), Trigger(enrolled=60))), "the last of: 40 events; 60 patients enrolled"),
    ],
)
def test_looks(when, words):
    assert trigger_words(when, "months") == words


def test_arms():
    assert arms_words(Arms("single-arm", 60, enrich=("good",))) == "A single-arm trial in 'good' only"
    assert arms_words(Arms("randomised", 60, allocation=(2, 1), stratify=())) == "A randomised trial (2:1)"
    further = (FurtherArm("B", 0.8), FurtherArm("C", 0.7, places=3))
    assert arms_words(Arms("randomised", 60, allocation=(2, 1), stratify=("site",), further=further)) == (
        "A randomised trial with 3 experimental arms and one control arm (2:1:1:3 to experimental, control, 'B' and 'C', "
        "stratified by site)"
    )


def test_accrual_and_follow_up():
    told = " ".join(accrual_words(Accrual(2, (0.5, 1.0), opening=(0.0, 3.0), ramp=2.0, cap=20, longest=30.0), "months"))
    for part in (
        "each with 0.5 to 1 patients a month",
        "at 0 and 3",
        "over 2 months",
        "20 patients at most",
        "after 30 months",
    ):
        assert part in told
    assert "uniform, 3 a month" in accrual_words(Accrual(3, 1.0, pattern="uniform"), "months")[0]
    told = follow_up_words(FollowUp(60.0, longest=36.0, dropout=Dropout(0.05, 24.0), assess_every=2.0), "months")
    for part in ("for 36 months at most", "5 % would be lost by 24 months", "every 2 months", "closes at 60 months"):
        assert part in told


def test_criteria():
    survival = Criterion("x", "survival", at=24.0, above=0.6, group="good")
    assert criterion_words(survival) == "Success needs a high probability of: survival at 24 above 0.6 in 'good'"
    futile = Criterion("x", "hazard_ratio", role="futility", below=0.9, probability=0.1)
    assert criterion_words(futile) == "The trial stops for futility on a low probability of: hazard ratio below 0.9"


def test_a_published_effect_is_read_back_as_its_own_interval():
    """SABR-COMET's hazard ratio .57 (.30 to 1.10): a normal distribution of the log that has its width."""
    words = effect_words(Effect(published=Published(0.57, 0.30, 1.10), source="SABR-COMET."))
    # .57 exp(-+ log(1.10 / .30) / 2)
    assert "median 0.57 and 95 % of its distribution in 0.30 to 1.09" in words
    assert words.endswith("Source: SABR-COMET.")
    assert "0.7, taken as known" in effect_words(Effect(hazard_ratio=0.7))
    waning = effect_words(Effect(hazard_ratio=0.7, delay=3.0, wanes_from=12.0, wanes_until=24.0))
    assert "from 3 on; waning from 12 to nothing at 24" in waning


def test_effects_of_further_arms():
    """Arm C's interval is exp(log .7 -+ 1.96 * .2)."""
    further = (FurtherArm("B", 0.8), FurtherArm("C", 0.7, sd=0.2))
    assert effect_words(Effect(hazard_ratio=0.6, source="A trial"), further) == (
        "Arm 'experimental': hazard ratio 0.6, taken as known. Source: A trial. Arm 'B': hazard ratio 0.8, taken as known. "
        "Arm 'C': hazard ratio with median 0.70 and 95 % of its distribution in 0.47 to 1.04."
    )
    later = effect_words(Effect(hazard_ratio=0.6, delay=3.0), further[:1])
    assert later.endswith("taken as known. Course in time and differences between sites are as in arm 'experimental'.")


def test_priors_of_the_analysis():
    plan = AnalysisPlan(site_sd=0.25, treatment=NormalPrior(0.0, 0.5), median_survival=MedianPrior(12.0, 1.0))
    told = analysis_priors(plan, "months")
    assert "half-normal with scale 0.25" in told["sites"]
    assert "median survival 12 months, log sd 1" in told["baseline"]
    # exp(-+ 1.96 * .5)
    assert "hazard ratio 0.38 to 2.66 with probability 0.95" in told["treatment"]
    assert "located at each look" in analysis_priors(AnalysisPlan(), "months")["baseline"]
    classical = analysis_priors(AnalysisPlan(method="cox", adjust=("site",)), "months")
    assert classical["treatment"] == "none: a classical test"
    assert (classical["sites"], classical["risk groups"]) == ("none: adjusted for, without a prior", "not in the analysis")


def test_borrowing_and_scenarios():
    words = borrowing_words(BorrowingPlan("control", "robust-map", fit="x", weight=0.7, between_sd=0.2, vague_sd=1.0))
    assert "The control arm" in words
    assert "weight 0.7 on the cohort with sd 0.2" in words
    assert "power 0.4" in borrowing_words(BorrowingPlan("control", "power-prior", fit="x", power=0.4))
    scenario = TrialScenario("x", hazard_ratio=1.0, site_sd=0.5, drift=0.2, accrual_factor=0.5)
    assert scenario_words(scenario) == (
        "no effect; sd of sites 0.5; the trial's patients at log hazard ratio 0.2 against like ones of the cohort; "
        "0.5 times the accrual"
    )
    assert scenario_words(TrialScenario("x")) == "as planned"
    assert scenario_words(TrialScenario("x", at_bound="milestone")) == "hazards such that 'milestone' is exactly at its bound"


@pytest.mark.parametrize(
    ("scenario", "words"),
    [
        (TrialScenario("x", hazard_ratio=1.0, hazard_ratios={"B": 0.5}), "no effect, but hazard ratio 0.5 in arm 'B'"),
        (TrialScenario("x", hazard_ratios={"B": 0.3}), "hazard ratio 0.3 in arm 'B'"),
        (
            TrialScenario("x", hazard_ratios={"experimental": 1.0, "B": 0.3}, accrual_factor=0.5),
            "no effect in arm 'experimental' and hazard ratio 0.3 in arm 'B'; 0.5 times the accrual",
        ),
        (TrialScenario("x", hazard_ratio=0.7, hazard_ratios={"B": 0.7}), "hazard ratio 0.7"),
    ],
)
def test_scenarios_with_hazard_ratios_by_arm(scenario, words):
    assert scenario_words(scenario) == words
