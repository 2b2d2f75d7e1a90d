"""A design in sentences: arms, accrual, looks, criteria, priors."""

from __future__ import annotations

import math
from collections.abc import Sequence

from scipy.special import ndtri

from sitewise.problems import plural
from sitewise.report.page_parts import enumerated, number
from sitewise.trial.assessment import Assessment
from sitewise.trial.plan.accrual import Accrual, FollowUp
from sitewise.trial.plan.analysis import AnalysisPlan, NormalPrior
from sitewise.trial.plan.arms import EXPERIMENTAL, Arms, FurtherArm
from sitewise.trial.plan.cohorts import BorrowingPlan
from sitewise.trial.plan.criteria import Criterion
from sitewise.trial.plan.design import TrialDesign
from sitewise.trial.plan.looks import Trigger
from sitewise.trial.plan.scenarios import TrialScenario
from sitewise.trial.plan.truth import Effect

METHODS = {
    "hierarchical": "the Weibull model with random sites, by the nested-Laplace engine",
    "conjugate": "a normal prior and an estimate of the log hazard ratio with its standard error (of survival and restricted "
    "means the Kaplan-Meier ones), in closed form",
    "log-rank": "the log-rank test",
    "cox": "Cox regression",
}
BORROWING = {
    "none": "nothing is borrowed",
    "pooled": "the cohort counts as the trial's own patients",
    "power-prior": "a power prior",
    "normalised-power-prior": "a normalised power prior",
    "commensurate": "a commensurate prior",
    "robust-map": "a robust mixture prior",
}
STRATA = {"site": "site", "risk_group": "risk group"}


def design_sentence(design: TrialDesign, /) -> str:
    """Return a design in one sentence."""
    looks = len(design.look)
    last = trigger_words(design.look[-1].when, design.time_unit)
    interim = "one analysis" if looks == 1 else f"{looks} looks, the last"
    return (
        f"{arms_words(design.arms)} of {design.arms.patients} patients at {plural(design.accrual.sites, 'site', 'sites')}, "
        f"with {interim} at {last}, closing at {design.follow_up.close:g} {design.time_unit} whatever has happened."
    )


def arms_words(arms: Arms, /) -> str:
    """Return what kind of trial it is."""
    risk = f" in {enumerated([f'{name!r}' for name in arms.enrich])} only" if arms.enrich else ""
    if not arms.randomised:
        return f"A single-arm trial{risk}"
    strata = f", stratified by {enumerated([STRATA[item] for item in arms.stratify])}" if arms.stratify else ""
    places = ":".join(str(number) for number in (*arms.allocation, *(item.places for item in arms.further)))
    if not arms.further:
        return f"A randomised trial ({places}{strata}){risk}"
    names = enumerated(["experimental", "control", *(f"'{item.name}'" for item in arms.further)])
    several = f"{1 + len(arms.further)} experimental arms and one control arm"
    return f"A randomised trial with {several} ({places} to {names}{strata}){risk}"


def trigger_words(when: Trigger, unit: str, /) -> str:
    """Return what a look waits for."""
    if when.events is not None:
        return f"{when.events} events"
    if when.calendar is not None:
        return f"{when.calendar:g} {unit} after the first site opens"
    if when.enrolled is not None:
        return f"{when.enrolled} patients enrolled"
    if when.followed is not None:
        return f"{when.followed.patients} patients who entered {when.followed.time:g} {unit} ago or earlier"
    parts = "; ".join(trigger_words(part, unit) for part in (*when.all, *when.any))
    return f"{'the last' if when.all else 'the first'} of: {parts}"


def accrual_words(accrual: Accrual, unit: str, /) -> list[str]:
    """Return how patients come, in sentences."""
    rates = accrual.rates
    each = f"{rates[0]:.3g}" if rates.min() == rates.max() else f"{rates.min():.3g} to {rates.max():.3g}"
    time = unit.removesuffix("s")
    if accrual.pattern == "uniform":
        return [f"Patients come at times that are uniform, {rates.sum():.3g} a {time} over {accrual.sites} sites together."]
    vary = (
        f"; a site's own rate is a Gamma variable of that mean and shape {accrual.rate_shape:g}, drawn anew in every trial"
        if accrual.rate_shape is not None
        else ""
    )
    opening = accrual.openings
    found = [
        f"{plural(accrual.sites, 'site', 'sites')}, each with {each} patients a {time} when fully running, as Poisson "
        f"processes{vary}.",
        "All sites open at the start."
        if opening.max() == 0
        else f"Sites open from time 0 until {opening.max():g} {unit}: at {enumerated([f'{time:g}' for time in opening])}.",
    ]
    if accrual.ramp:
        found.append(f"A site's rate grows linearly over {accrual.ramp:g} {unit} after it opens.")
    if accrual.cap is not None:
        found.append(f"A site enrols {accrual.cap} patients at most.")
    if accrual.longest is not None:
        found.append(f"Nobody is enrolled after {accrual.longest:g} {unit}.")
    return found


def follow_up_words(follow_up: FollowUp, unit: str, /) -> str:
    """Return how patients are followed."""
    longest = f"for {follow_up.longest:g} {unit} at most" if follow_up.longest is not None else "until the trial ends"
    lost = "nobody is lost"
    if follow_up.dropout is not None:
        lost = f"{100 * follow_up.dropout.share:.3g} % would be lost by {follow_up.dropout.by:g} {unit} if nobody had the event"
    seen = f"; events are found at assessments every {follow_up.assess_every:g} {unit}" if follow_up.assess_every else ""
    return f"Patients are followed {longest}; {lost}{seen}. The trial closes at {follow_up.close:g} {unit}."


def criterion_words(item: Criterion, /) -> str:
    """Return a criterion as a sentence without its threshold."""
    role = "Success needs" if item.role == "success" else "The trial stops for futility on"
    side = "high" if item.role == "success" else "low"
    return f"{role} a {side} probability of: {item.sentence}"


def threshold_words(found: Assessment, item: Criterion, /) -> str:
    """Return where a criterion's threshold comes from."""
    plan = found.design.calibration
    if plan is None or item.name not in plan.names:
        return "stated in the design"
    if plan.method == "simulated":
        nulls = int(found.results.data["null"].sum())
        return f"found by simulation: the smallest with type I error {plan.alpha:g} in {plural(nulls, 'null', 'nulls')}"
    return f"{plan.spending} spending function, one-sided {plan.alpha:g}"


def effect_words(effect: Effect, further: Sequence[FurtherArm] = (), /) -> str:
    """Return what is taken as true of the treatment, and of those of further experimental arms."""
    ratio = _ratio_words(effect.log_mean, effect.log_sd)
    text = f"Arm '{EXPERIMENTAL}': {ratio}" if further else ratio.capitalize()
    if effect.delay:
        text += f"; from {effect.delay:g} on"
    if effect.wanes_from is not None:
        text += f"; waning from {effect.wanes_from:g} to nothing at {effect.wanes_until:g}"
    if effect.cured:
        text += f"; {100 * effect.cured:.3g} % of patients cured"
    if effect.site_sd:
        text += f"; its log differs between sites with sd {effect.site_sd:.3g}"
    text += f". Source: {effect.source.rstrip('.')}." if effect.source else "."
    for arm in further:
        text += f" Arm '{arm.name}': {_ratio_words(math.log(arm.hazard_ratio), arm.sd)}."
    if further and (effect.delay or effect.wanes_from is not None or effect.site_sd):
        text += f" Course in time and differences between sites are as in arm '{EXPERIMENTAL}'."
    return text


def _ratio_words(log_mean: float, log_sd: float) -> str:
    middle, reach = math.exp(log_mean), float(ndtri(0.975)) * log_sd
    if not reach:
        return f"hazard ratio {middle:.3g}, taken as known"
    low, high = math.exp(log_mean - reach), math.exp(log_mean + reach)
    return f"hazard ratio with median {number(middle)} and 95 % of its distribution in {number(low)} to {number(high)}"


def normal_words(prior: NormalPrior, /) -> str:
    """Return a normal prior of a log hazard ratio as hazard ratios."""
    low, high = (math.exp(prior.mean + sign * float(ndtri(0.975)) * prior.sd) for sign in (-1, 1))
    return f"normal({prior.mean:g}, sd {prior.sd:g}): hazard ratio {number(low)} to {number(high)} with probability 0.95"


def analysis_priors(plan: AnalysisPlan, unit: str, /) -> dict[str, str]:
    """Return the analysis's own priors by what they are of."""
    if plan.method != "hierarchical":
        own = "none: a classical test"
        return {
            "treatment": f"Log hazard ratio {normal_words(plan.treatment)}" if plan.method == "conjugate" else own,
            "baseline": "none",
            "risk groups": _adjusted("risk_group" in plan.adjust),
            "sites": _adjusted("site" in plan.adjust),
        }
    shape = f"log of the Weibull shape normal({plan.shape.mean:g}, sd {plan.shape.sd:g})"
    place = plan.median_survival
    median = (
        "median survival located at each look's person-time over events, log sd 1.5"
        if place is None
        else f"median survival {place.median:g} {unit}, log sd {place.log_sd:g}"
    )
    sites = f"sd of log hazards half-normal with scale {plan.site_sd:g}"
    return {
        "treatment": f"Log hazard ratio {normal_words(plan.treatment)}",
        "baseline": f"{median}; {shape}",
        "risk groups": f"Log hazard ratios {normal_words(plan.risk_groups)}",
        "sites": sites + ("; the treatment's effect by site too" if plan.treatment_by_site else ""),
    }


def _adjusted(used: bool) -> str:
    return "none: adjusted for, without a prior" if used else "not in the analysis"


def adjusted_words(plan: AnalysisPlan, /) -> str:
    """Return what an analysis adjusts for."""
    return enumerated([STRATA[item] for item in plan.adjust])


def borrowing_words(plan: BorrowingPlan, /) -> str:
    """Return what an arm borrows, and how."""
    more = {
        "power-prior": f" with power {plan.power:g}",
        "normalised-power-prior": f" whose power has a Beta({plan.power_alpha:g}, {plan.power_beta:g}) prior",
        "commensurate": f" whose sd between cohort and trial is half-normal with scale {plan.between_sd:g}",
        "robust-map": f": weight {plan.weight:g} on the cohort with sd {plan.between_sd:g} between it and the trial, the rest "
        f"vague with sd {plan.vague_sd:g}",
    }.get(plan.method, "")
    return f"The {plan.arm} arm's log hazard borrows from a cohort: {BORROWING[plan.method]}{more}."


def scenario_words(item: TrialScenario | None, /) -> str:
    """Return what is other in a scenario than planned."""
    if item is None:
        return "as planned"
    found = []
    of_all = [] if item.hazard_ratio is None else [_stated(item.hazard_ratio)]
    others = {name: ratio for name, ratio in item.hazard_ratios.items() if ratio != item.hazard_ratio}
    of_arms = enumerated([f"{_stated(ratio)} in arm '{name}'" for name, ratio in others.items()])
    if of_all or of_arms:
        found.append(", but ".join([*of_all, *([of_arms] if of_arms else [])]))
    if item.at_bound:
        found.append(f"hazards such that '{item.at_bound}' is exactly at its bound")
    if item.site_sd is not None:
        found.append(f"sd of sites {item.site_sd:g}")
    if item.drift:
        found.append(f"the trial's patients at log hazard ratio {item.drift:g} against like ones of the cohort")
    if item.accrual_factor != 1:
        found.append(f"{item.accrual_factor:g} times the accrual")
    return "; ".join(found) or "as planned"


def _stated(ratio: float) -> str:
    return "no effect" if ratio == 1 else f"hazard ratio {ratio:g}"
