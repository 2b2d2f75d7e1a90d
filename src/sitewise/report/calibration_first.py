"""The first screen of a calibration report: the answer, what is assumed and not identified, what to doubt, from what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sitewise.estimands.summary import limits
from sitewise.evidence import evidence_hash
from sitewise.problems import plural
from sitewise.report.calibration_results import DEATHS, PEOPLE, CalibrationResults
from sitewise.report.calibration_verdict import CLOSE, FEW_DRAWS, CalibrationVerdict
from sitewise.report.calibration_words import shown_names
from sitewise.report.page_first import NOT_FOR_PATIENTS, Answer, Bar
from sitewise.report.page_parts import duration, enumerated, number, percent, percent_span
from sitewise.simulate.calibration.fan import ALL, GroupFan
from sitewise.simulate.calibration.natural import assumed

HASH_SHOWN = 16


@dataclass(frozen=True)
class CalibrationScreen:
    """Everything on the first screen; see the module."""

    alarm: str
    banner: str
    question: str
    verdict: str
    answers: tuple[Answer, ...]
    population: str
    assumed: tuple[str, ...]
    doubt: tuple[str, ...]
    data: tuple[str, ...]
    caution: str


def calibration_screen(results: CalibrationResults, verdict: CalibrationVerdict, /) -> CalibrationScreen:
    """Return the first screen of a calibration."""
    source = results.calibration.problem.evidence.source
    return CalibrationScreen(
        alarm="No process of this kind reproduces the paper: do not use it." if verdict.level == "fail" else "",
        banner="Nothing here is a patient: a process inferred from printed numbers, and synthetic cohorts of it.",
        question=f"Which patients could have given these numbers? {cited(results)}",
        verdict=_reproduced(results),
        answers=tuple(_answers(results)),
        population=(
            f"Patients and events: of the paper's own {results.patients} patients. Survival: of the process that made them, "
            f"averaged over a group's members and over sites (marginal); median and {100 * results.prob:g} % interval of "
            f"{_draws(results)} draws. Diamond: printed. Time zero: {source.time_zero or 'as in the paper'}."
        ),
        assumed=tuple(assumptions(results)),
        doubt=tuple(_doubts(results, verdict)),
        data=tuple(_data(results)),
        caution=f"{NOT_FOR_PATIENTS} Associations are not effects of treatment.",
    )


def cited(results: CalibrationResults) -> str:
    """Return the paper in a few words."""
    source = results.calibration.problem.evidence.source
    return f"{source.authors.split(',')[0]} et al., {source.journal}, {source.year}"


def _draws(results: CalibrationResults) -> int:
    return len(results.fans[0][2][0].process)


def _reproduced(results: CalibrationResults) -> str:
    fitted, contrasts = results.fitted, results.contrasts
    within = int((fitted["z"].abs() <= CLOSE).sum())
    also = ""
    if len(contrasts):
        inside = int((contrasts["z"].abs() <= CLOSE).sum())
        also = f", and {inside} of {plural(len(contrasts), 'contrast', 'contrasts')} between unadjusted and adjusted ones"
    return (
        f"The process reproduces {within} of {plural(len(fitted), 'number', 'numbers')} within {CLOSE:g} sampling sd of one "
        f"cohort{also}. Of cohorts that it makes itself {percent(1 - results.distance_percentile)} % are further off."
    )


def _answers(results: CalibrationResults) -> list[Answer]:
    made = []
    for _, times, fans in results.fans[:2]:
        for fan in fans:
            if not np.isfinite(fan.process).all(axis=1).any():
                continue
            people, events = results.count_span(PEOPLE + fan.label), results.count_span(DEATHS + fan.label)
            size = f"{people} patients, {events} events"
            if fan.label == ALL:
                size = f"{results.patients} patients, {results.events} events"
            elif people == "–":
                size = ""
            made.append(Answer(fan.label[:1].upper() + fan.label[1:], size, *_survival(results, fan, times)))
    return made


def _survival(results: CalibrationResults, fan: GroupFan, times: NDArray[np.float64]) -> tuple[str, tuple[Bar, ...]]:
    """Return a group's median in words, beside the printed one, and survival at the horizon as a bar."""
    low, high = limits(results.prob)
    medians, at = results.of_group(fan, times)
    last = float(times[-1])
    middle, *ends = (_time(value, last) for value in np.quantile(medians, [0.5, low, high], method="nearest"))
    printed = [item.printed.replace("median ", "") for item in fan.published if item.kind == "beyond_last" or item.rounds_time]
    medians_printed = [text for text in printed if not text.startswith("limit")]
    beside = f"; the paper prints {enumerated(medians_printed)}" if medians_printed else ""
    sentence = f"Half live {middle} {results.unit} ({ends[0]} to {ends[1]}){beside}."
    bottom, centre, top = (float(value) for value in np.quantile(at, [low, 0.5, high]))
    raw = [item.value for item in fan.published if item.kind == "survival" and item.time == results.horizon]
    label = f"{results.horizon:.3g} {results.unit}"
    text = percent_span(centre, bottom, top)
    bar = Bar(label, text, 100 * bottom, 100 * (top - bottom), 100 * centre, 100 * raw[0] if raw else None, None)
    return sentence, (bar,)


def _time(value: float, last: float) -> str:
    return duration(value) if value < last else f"more than {duration(last)}"


def assumptions(results: CalibrationResults) -> list[str]:
    """Return what no printed number supports: first what cannot be identified, the sites."""
    problem = results.calibration.problem
    chosen = problem.assumptions
    shares = "stated" if chosen.site_shares else "drawn anew for each cohort (Dirichlet)"
    spread = f"set to {chosen.site_sd:g}" if chosen.site_sd is not None else f"drawn from HalfNormal({chosen.site_sd_scale:g})"
    count = plural(problem.sites, "site", "sites")
    found = [
        f"NOT IDENTIFIED: the sizes of the {count} ({shares}) and the spread between them (sd of log hazard ratios {spread}). "
        "No number of the paper says anything about them: they are the user's or the prior's."
    ]
    found += [f"Assumed: {item}." for item in assumed(problem)]
    guarantee = results.parameter("guarantee_time")
    if guarantee is not None and float(guarantee["mean"]) > 0:
        span = f"{number(guarantee['mean'])} ({number(guarantee['lower'])} to {number(guarantee['upper'])}) {results.unit}"
        how = "estimated from the shortest follow-up" if chosen.guarantee_time == "estimated" else "stated by the user"
        found.append(f"Nobody dies or leaves before {span}: {how}.")
    else:
        found.append("No guarantee time: patients can die or leave from the start.")
    return found


def _doubts(results: CalibrationResults, verdict: CalibrationVerdict) -> list[str]:
    found = []
    if verdict.beyond:
        found.append(f"Beyond {CLOSE:g} sd: {shown_names(verdict.beyond, 5)}.")
    worst = _largest(results.fitted, "target")
    if worst:
        found.append(f"Largest miss of a fitted number: {worst}.")
    contrast = _largest(results.contrasts, "contrast")
    if contrast:
        found.append(f"Largest miss of a contrast: {contrast}.")
    if verdict.unmet:
        found.append(f"Printed conditions that hardly any cohort meets: {shown_names(verdict.unmet)}.")
    soft = results.targets[(results.targets["kind"] == "beyond_last") & (results.targets["status"] == "soft")]
    for row in soft.itertuples():
        found.append(
            f"{row.target}, a soft condition ({row.printed}), holds in {100 * float(str(row.reproduced)):.0f} % of cohorts."
        )
    if verdict.sparse:
        found.append(
            f"The paper says little: {results.events} of {results.patients} patients had the event. Every answer is wide, and "
            "leans on what was assumed."
        )
    if verdict.prior_driven:
        found.append(f"Prior-driven, hardly changed by the paper: {shown_names(verdict.prior_driven, 4)}.")
    if len(results.conflicts):
        found.append(
            f"Set aside as conflicts, fitted to nothing: {shown_names(tuple(results.conflicts['target']))}. See Contradictions."
        )
    count = len(results.audit.of("error")) + len(results.audit.of("warning"))
    if count:
        found.append(f"The audit of the paper's numbers has {plural(count, 'warning', 'warnings')}: see Contradictions.")
    effective = results.calibration.posterior.effective
    if effective < FEW_DRAWS:
        found.append(f"The posterior stands on only {effective:.0f} effective draws: ask for a larger pool.")
    moments = results.calibration.moments
    if not moments.converged:
        found.append("The moments did not converge to the last digit; the misses above say how close they came.")
    return found


def _largest(table: Any, name: str) -> str:
    away = np.abs(table["z"].to_numpy(dtype=float))
    if not np.isfinite(away).any():
        return ""
    row = table.iloc[int(np.nanargmax(away))]
    return f"{row[name]}, z {number(float(row['z']), 1)}"


def _data(results: CalibrationResults) -> list[str]:
    problem, posterior = results.calibration.problem, results.calibration.posterior
    source = problem.evidence.source
    statuses = results.targets["status"].value_counts()
    words = {"fit": "fitted", "soft": "soft", "held_out": "held out", "conflict": "set aside as conflicts"}
    used = ", ".join(f"{int(statuses[status])} {word}" for status, word in words.items() if status in statuses)
    size = f"{plural(source.patients, 'patient', 'patients')} at {plural(source.sites, 'site', 'sites')}"
    return [
        f"{source.title}. {source.authors}. {source.journal}, {source.year}. doi {source.doi}.",
        f"{size}. Numbers compared: {used}.",
        f"Posterior from {posterior.effective:.0f} effective draws of cohorts simulated near the paper; seed "
        f"{results.calibration.seed}, evidence {evidence_hash(problem.evidence)[:HASH_SHOWN]}.",
    ]
