"""Whole campaigns against a second program: plain NumPy and SciPy, one trial and one patient after another.

It shares nothing with the package but the numbers of the design. Log-rank tests are written out here, and the stratified one is
itself held against lifelines.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from lifelines.statistics import logrank_test
from scipy import stats

from sitewise.trial.assessment import analysis_for
from sitewise.trial.campaign import run_campaign, worlds_of
from sitewise.trial.operating import operating_characteristics
from sitewise.trial.plan.design import TrialDesign
from sitewise.trial.plan.truth import Effect, PointTruth
from sitewise.trial.sources import cohorts_of
from sitewise.trial.truth import Truth

OTHERS, OURS = 2000, 8000
"""Trials of each scenario by the program of this file, and by the package."""
ERRORS = 3.3

POINT = {
    "baseline": {"family": "weibull", "median": 12.0, "parameters": {"shape": 1.2}},
    "site_sd": 0.4,
    "group": [{"name": "good", "share": 0.6}, {"name": "poor", "share": 0.4, "log_hazard_ratio": 0.7}],
}
RANDOMISED = {
    "id": "two-arms",
    "title": "Is the new treatment better?",
    "truth": {"cohort_arm": "control", "effect": {"hazard_ratio": 0.6}, "point": POINT},
    "arms": {"kind": "randomised", "patients": 120, "allocation": [2, 1], "blocks": 1, "stratify": ["site", "risk_group"]},
    "accrual": {
        "sites": 6,
        "rate": [1.2, 0.6, 0.8, 1.0, 0.9, 1.1],
        "rate_shape": 1.5,
        "opening": [0.0, 1.0, 2.0, 4.0, 6.0, 8.0],
        "ramp": 3.0,
        "cap": 35,
    },
    "follow_up": {"close": 42.0, "dropout": {"share": 0.15, "by": 12.0, "shape": 1.3}},
    "look": [{"name": "interim", "when": {"events": 40}}, {"name": "final", "when": {"events": 85}}],
    "criterion": [
        {"name": "benefit", "estimand": "hazard_ratio", "below": 1.0, "probability": 0.95},
        {"name": "harm", "estimand": "hazard_ratio", "below": 1.0, "role": "futility", "probability": 0.3},
    ],
    "analysis": {"method": "log-rank", "adjust": ["site", "risk_group"]},
    "scenario": [{"name": "no effect", "null": True, "hazard_ratio": 1.0}],
    "simulation": {"trials": OURS, "seed": 11, "nuts_trials": 0},
}


@dataclass
class Patients:
    """The patients of one trial in the order in which they came."""

    enrolled: np.ndarray
    site: np.ndarray
    poor: np.ndarray
    treated: np.ndarray
    event_after: np.ndarray
    lost_after: np.ndarray

    @property
    def seen_event_at(self) -> np.ndarray:
        """Calendar times of the events that are seen."""
        return np.where(self.event_after <= self.lost_after, self.enrolled + self.event_after, np.inf)

    def at(self, calendar: float) -> dict[str, np.ndarray]:
        """What the data base holds at a calendar time."""
        here = self.enrolled < calendar
        time = np.minimum.reduce([self.event_after, self.lost_after, calendar - self.enrolled])
        event = self.seen_event_at <= calendar
        stratum = 2 * self.site + self.poor
        columns = {"time": time, "event": event, "treated": self.treated, "poor": self.poor, "stratum": stratum}
        return {name: values[here] for name, values in columns.items()}


def came(accrual: dict[str, Any], patients: int, close: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Poisson arrivals of each site by thinning, then the first ones of all sites together."""
    times, sites = [], []
    for site, (mean, opening) in enumerate(zip(accrual["rate"], accrual["opening"], strict=True)):
        rate = rng.gamma(accrual["rate_shape"], mean / accrual["rate_shape"]) if "rate_shape" in accrual else mean
        own = np.sort(rng.uniform(opening, close, rng.poisson(rate * (close - opening))))
        running = np.minimum((own - opening) / accrual["ramp"], 1.0) if accrual.get("ramp") else np.ones(own.size)
        own = own[rng.uniform(size=own.size) < running][: accrual.get("cap")]
        times.append(own)
        sites.append(np.full(own.size, site))
    order = np.argsort(np.concatenate(times))[:patients]
    return np.concatenate(times)[order], np.concatenate(sites)[order]


def one_trial(design: dict[str, Any], hazard_ratio: float, site_sd: float, rng: np.random.Generator) -> Patients:
    """Simulate everything that will happen in a trial."""
    point, arms, follow_up = POINT, design["arms"], design["follow_up"]
    enrolled, site = came(design["accrual"], arms["patients"], follow_up["close"], rng)
    poor = rng.uniform(size=enrolled.size) < point["group"][1]["share"]
    treated = np.ones(enrolled.size, bool)
    if arms["kind"] == "randomised":
        blocks: dict[tuple[int, bool], list[bool]] = {}
        for place, stratum in enumerate(zip(site.tolist(), poor.tolist(), strict=True)):
            if not blocks.get(stratum):
                block = [True] * arms["allocation"][0] + [False] * arms["allocation"][1]
                blocks[stratum] = list(rng.permutation(block * arms["blocks"]))
            treated[place] = blocks[stratum].pop()
    effects = rng.normal(0.0, site_sd, len(design["accrual"]["rate"])) if site_sd else np.zeros(len(design["accrual"]["rate"]))
    log_hazard = 0.7 * poor + effects[site] + np.log(hazard_ratio) * treated
    shape = point["baseline"]["parameters"]["shape"]
    scale = point["baseline"]["median"] / np.log(2) ** (1 / shape)
    event_after = scale * (rng.exponential(size=enrolled.size) / np.exp(log_hazard)) ** (1 / shape)
    lost = follow_up["dropout"]
    lost_scale = lost["by"] / (-np.log(1 - lost["share"])) ** (1 / lost["shape"])
    return Patients(enrolled, site, poor, treated, event_after, lost_scale * rng.weibull(lost["shape"], enrolled.size))


def stratified_log_rank(data: dict[str, np.ndarray], stratum: np.ndarray) -> tuple[float, float]:
    """Observed minus expected events of the treated, and its variance, summed over strata (Mantel 1966), without ties."""
    time, event, treated = data["time"], data["event"], data["treated"]
    at_risk = (time >= time[event, None]) & (stratum == stratum[event, None])
    share = (at_risk & treated).sum(axis=1) / at_risk.sum(axis=1)
    return float((treated[event] - share).sum()), float((share * (1 - share)).sum())


@pytest.mark.filterwarnings("ignore:Starting with pandas")
def test_the_log_rank_test_of_this_file_is_that_of_lifelines():
    data = one_trial(RANDOMISED, 0.6, 0.4, np.random.default_rng(1)).at(30.0)
    everybody = np.zeros(data["time"].size)
    difference, variance = stratified_log_rank(data, everybody)
    treated = data["treated"]
    found = logrank_test(data["time"][treated], data["time"][~treated], data["event"][treated], data["event"][~treated])
    assert difference**2 / variance == pytest.approx(found.test_statistic, rel=1e-10)
    parts = []
    for number in np.unique(data["stratum"]):
        own = {name: values[data["stratum"] == number] for name, values in data.items()}
        parts.append(stratified_log_rank(own, own["stratum"]))
    assert stratified_log_rank(data, data["stratum"]) == pytest.approx(np.sum(parts, axis=0))


@dataclass
class Numbers:
    """What each trial came to, by the names of operating characteristics."""

    content: dict[tuple[str, str], list[float]] = field(default_factory=dict)

    def add(self, quantity: str, value: float, of: str = "") -> None:
        """Note a number."""
        self.content.setdefault((quantity, of), []).append(float(value))

    def held_against(self, table: pd.DataFrame, scenario: str) -> pd.DataFrame:
        """Return both means, their standard errors, and the difference in those."""
        rows = []
        for (quantity, of), values in self.content.items():
            known = np.array(values)[np.isfinite(values)]
            own = table[(table.scenario == scenario) & (table.quantity == quantity) & (table.of == of)]
            assert len(own) == 1, (quantity, of)
            value, error = float(own["value"].iloc[0]), float(own["mcse"].iloc[0])
            combined = np.hypot(error, stats.sem(known))
            rows.append((quantity, of, value, known.mean(), combined, (value - known.mean()) / combined if combined else 0.0))
        return pd.DataFrame(rows, columns=["quantity", "of", "package", "here", "error", "z"])


def randomised_trials(hazard_ratio: float, seed: int) -> Numbers:
    rng, numbers, close = np.random.default_rng(seed), Numbers(), RANDOMISED["follow_up"]["close"]
    for _ in range(OTHERS):
        patients = one_trial(RANDOMISED, hazard_ratio, POINT["site_sd"], rng)
        moments = np.sort(patients.seen_event_at)
        first, last = (moments[number - 1] if moments.size >= number else np.inf for number in (40, 85))
        outcome, at, stop = "no decision", min(last, close), "final"
        for look, calendar in (("interim", first), ("final", min(last, close))):
            if look == "interim" and not (calendar <= close and calendar < min(last, close)):
                continue
            data = patients.at(calendar)
            difference, variance = stratified_log_rank(data, data["stratum"])
            probability = stats.norm.cdf(-difference / np.sqrt(variance))
            if probability > 0.95:
                outcome = "success"
            elif look == "interim" and probability < 0.3:
                outcome = "futility"
            if outcome != "no decision" or look == "final":
                at, stop = calendar, look
                break
        for word in ("success", "futility", "no decision"):
            numbers.add(word, outcome == word)
        numbers.add("success at look", outcome == "success" and stop == "interim", "interim")
        numbers.add("success at look", outcome == "success" and stop == "final", "final")
        numbers.add("look held", first < min(last, close), "interim")
        numbers.add("look reached", last <= close, "final")
        numbers.add("patients", (patients.enrolled <= at).sum())
        numbers.add("events", data["event"].sum())
        numbers.add("duration", at)
        numbers.add("patients of group", data["poor"].sum(), "poor")
        numbers.add("events of group", data["event"][data["poor"]].sum(), "poor")
        error = difference / variance - np.log(hazard_ratio)
        numbers.add("bias", error, "benefit")
        numbers.add("coverage", abs(error) <= stats.norm.ppf(0.975) / np.sqrt(variance), "benefit")
    return numbers


def characteristics(design: TrialDesign, folder: Any = ".") -> pd.DataFrame:
    cohorts = cohorts_of(design, folder=folder)
    worlds = worlds_of(design, cohorts.truth, benchmark=cohorts.benchmark)
    results = run_campaign(
        design, worlds, analysis=analysis_for(design, cohorts), trials=design.simulation.trials, seed=design.simulation.seed
    )
    return operating_characteristics(results)


@pytest.fixture(scope="module")
def randomised() -> pd.DataFrame:
    return characteristics(TrialDesign.from_dict(RANDOMISED))


@pytest.mark.parametrize(("scenario", "hazard_ratio"), [("planned", 0.6), ("no effect", 1.0)])
def test_a_randomised_design(randomised, scenario, hazard_ratio):
    """Sites that open one after another, with rates, hazards and caps of their own; two looks; the last may not come."""
    compared = randomised_trials(hazard_ratio, seed=21).held_against(randomised, scenario)
    assert (compared["z"].abs() < ERRORS).all(), compared.to_string()
    here = compared.set_index(["quantity", "of"])["here"]
    # Every branch is taken, or the comparison would say nothing.
    assert 0.1 < here["look reached", "final"] < 0.99
    assert 0.01 < here["success", ""] < 0.95
    assert 0.01 < here["futility", ""] < 0.95
    assert here["patients", ""] < 119


SINGLE = {
    "id": "one-arm",
    "title": "Is the new treatment better than the cohort's?",
    "truth": {"cohort_arm": "control", "effect": {"hazard_ratio": 0.6}, "draws": "cohort.nc"},
    "arms": {"kind": "single-arm", "patients": 70},
    "accrual": {"sites": 4, "rate": [1.0, 1.2, 0.8, 1.0], "opening": [0.0, 2.0, 3.0, 5.0]},
    "follow_up": {"close": 48.0, "dropout": {"share": 0.15, "by": 12.0, "shape": 1.3}},
    "look": [{"name": "final", "when": {"any": [{"events": 45}, {"calendar": 31.0}]}}],
    "criterion": [{"name": "benefit", "estimand": "hazard_ratio", "below": 1.0, "probability": 0.95}],
    "analysis": {"method": "log-rank"},
    "benchmark": {"draws": "cohort.nc", "known": True},
    "scenario": [
        {"name": "no effect", "null": True, "hazard_ratio": 1.0},
        {"name": "no effect, sites differ", "null": True, "hazard_ratio": 1.0, "site_sd": 0.4},
    ],
    "simulation": {"trials": OURS, "seed": 12, "nuts_trials": 0},
}


@pytest.fixture(scope="module")
def single(tmp_path_factory) -> pd.DataFrame:
    folder = tmp_path_factory.mktemp("cohort")
    point = TrialDesign.from_dict(RANDOMISED).truth.point
    assert isinstance(point, PointTruth)
    alike = replace(point, site_sd=0.0)
    Truth.point(alike, cohort_arm="control", effect=Effect(hazard_ratio=1.0)).save(folder / "cohort.nc")
    return characteristics(TrialDesign.from_dict(SINGLE), folder)


def single_arm_trials(hazard_ratio: float, site_sd: float, seed: int) -> Numbers:
    """The one-sample log-rank test: events against the cohort's cumulative hazards that the patients have lived through."""
    rng, numbers = np.random.default_rng(seed), Numbers()
    shape = POINT["baseline"]["parameters"]["shape"]
    for _ in range(3 * OTHERS):
        patients = one_trial(SINGLE, hazard_ratio, site_sd, rng)
        moments = np.sort(patients.seen_event_at)
        wanted = moments[44] if moments.size >= 45 else np.inf
        at = min(wanted, 31.0)
        data = patients.at(at)
        expected = (np.log(2) * (data["time"] / POINT["baseline"]["median"]) ** shape * np.exp(0.7 * data["poor"])).sum()
        observed = data["event"].sum()
        numbers.add("success", (expected - observed) / np.sqrt(expected) > stats.norm.ppf(0.95))
        numbers.add("patients", (patients.enrolled <= at).sum())
        numbers.add("events", observed)
        numbers.add("duration", at)
        numbers.add("bias", np.log(observed / expected) - np.log(hazard_ratio), "benefit")
    return numbers


@pytest.mark.parametrize(
    ("scenario", "hazard_ratio", "site_sd"),
    [("planned", 0.6, 0.0), ("no effect", 1.0, 0.0), ("no effect, sites differ", 1.0, 0.4)],
)
def test_a_single_arm_against_a_known_benchmark(single, scenario, hazard_ratio, site_sd):
    numbers = single_arm_trials(hazard_ratio, site_sd, seed=22)
    compared = numbers.held_against(single, scenario)
    assert (compared["z"].abs() < ERRORS).all(), compared.to_string()
    assert 0.01 < np.mean(numbers.content["success", ""]) < 0.99


def test_sites_that_differ_raise_the_type_one_error_against_a_known_benchmark(single):
    """The variance of the one-sample test has no place for sites; the difference is far beyond its Monte Carlo error."""
    success = single[single["quantity"] == "success"].set_index("scenario")
    apart = success["value"]["no effect, sites differ"] - success["value"]["no effect"]
    assert apart > ERRORS * np.hypot(*success["mcse"][["no effect", "no effect, sites differ"]])
