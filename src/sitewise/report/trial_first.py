"""First screen of the page of a trial: the question, and the answer in plain words."""

from __future__ import annotations

import numpy as np

from sitewise.report.page_parts import duration, enumerated, number
from sitewise.report.trial_values import Value, Values, nominal, planned, synthetic
from sitewise.report.trial_words import design_sentence
from sitewise.trial.assessment import Assessment
from sitewise.trial.operating.decisions import Outcome
from sitewise.trial.operating.size import Solution

SYNTHETIC = "The patients behind what is taken as true are synthetic (reconstructed or simulated), not a paper's own."


def alarm_of(found: Assessment, /) -> str:
    """Return what must stand above everything."""
    alarms = [SYNTHETIC] if synthetic(found) else []
    values, scenario = Values.of(found), planned(found)
    failed = values(scenario, "trials failed").value
    requested = values(scenario, "trials requested").value
    if failed > 0.05 * requested:
        alarms.append(f"The analysis failed in {failed:.0f} of {requested:.0f} planned trials: they count as no success.")
    silent = _without_an_answer(found)
    if silent > 0.05 * requested:
        alarms.append(
            f"The data of the deciding look say nothing in {silent} of {requested:.0f} planned trials (no events in an arm, or "
            "nobody followed for long enough): they count as no success."
        )
    return " ".join(alarms)


def _without_an_answer(found: Assessment) -> int:
    """Return the number of planned trials that end undecided without the probability of a success criterion that counts.

    Trials that are not estimable are more: those are among them that lack what does not count at the look, or that stop.
    """
    made, criteria = found.decisions, found.design.criterion
    stop, outcome = made.stop[0], made.outcome[0]
    probability = found.results.data["probability"].isel(scenario=0).to_numpy()[np.arange(stop.size), stop]
    asked = np.isfinite(made.thresholds[stop]) & np.array([item.role == "success" for item in criteria])
    return int(((asked & np.isnan(probability)).any(axis=1) & (outcome == Outcome.NONE)).sum())


def answers_of(found: Assessment, solution: Solution | None, /) -> list[tuple[str, str]]:
    """Return headings and sentences of the first screen."""
    answers = [
        ("Question", found.design.title),
        ("Design", design_sentence(found.design)),
        ("Probability of success", _success(found)),
        ("Type I error", _type_one(found)),
        ("What to expect", _expected(found)),
        ("What is taken as true", _truth(found)),
    ]
    if solution is not None:
        answers.append((f"Size for a probability of success of {solution.target:g}", solution.sentence))
    nothing = "See the warning at the top." if alarm_of(found) else "No flag is raised."
    answers.append(("Before believing this", " ".join(found.flags) or nothing))
    return answers


def _success(found: Assessment) -> str:
    values, scenario = Values.of(found), planned(found)
    success, right = values(scenario, "success"), values(scenario, "success is right")
    rows = found.cohorts.truth.effect.log_hazard_ratio
    name = "assurance: averaged over what is uncertain" if np.ptp(rows) > 0 or rows.size > 1 else "power at a known truth"
    text = f"{success.probability} ({name}; Monte Carlo standard error in brackets, {success.trials} trials)."
    if found.design.arms.further:
        text += f" Success is that of {found.design.arms.success.replace('all', 'every')} experimental arm."
    if np.isfinite(right.value):
        text += f" Success would be right in {number(right.value, 3)} of the trials' truths."
    if np.isfinite(found.ceiling):
        text += f" The ceiling is {number(found.ceiling, 3)}: no number of patients has more."
    return text


def worst_null(found: Assessment, /) -> tuple[str, Value]:
    """Return the null scenario with the largest type I error, on trials that gave no thresholds where there are such."""
    errors = found.thresholds.errors
    own = errors[errors["set"] == "validation"] if (errors["set"] == "validation").any() else errors
    row = own.iloc[int(own["type_one_error"].to_numpy().argmax())]
    trials = int(Values.of(found)(str(row["scenario"]), "success").trials)
    return str(row["scenario"]), Value(float(row["type_one_error"]), float(row["standard_error"]), trials)


def _type_one(found: Assessment) -> str:
    errors = found.thresholds.errors
    if errors.empty:
        return "There is no null scenario."
    name, worst = worst_null(found)
    row = errors[errors["scenario"] == name].iloc[-1]
    aim = nominal(found)
    inside = row["lower"] <= aim
    verdict = "above the nominal level" if not inside else "in accord with the nominal level or below it"
    return (
        f"{worst.probability} in the worst null scenario, '{name}' (95 % limits {number(float(row['lower']), 3)} to "
        f"{number(float(row['upper']), 3)}): {verdict}, {aim:.3g}."
    )


def _expected(found: Assessment) -> str:
    values, scenario, unit = Values.of(found), planned(found), found.design.time_unit
    patients, events, length = (values(scenario, name) for name in ("patients", "events", "duration"))
    text = (
        f"On average {patients.mean()} patients, {events.mean()} events and {length.mean()} {unit} until the trial ends, its "
        "stopping rules obeyed."
    )
    completion = found.forecast.milestones[found.forecast.milestones["kind"] == "completion"]
    if len(completion):
        row = completion.iloc[0]
        text += (
            f" If nothing stops it early it is complete after {duration(float(row['median']))} {unit} "
            f"({100 * found.forecast.prob:g} % prediction interval {duration(float(row['lower']))} to "
            f"{duration(float(row['upper']))})."
        )
    return text


def _truth(found: Assessment) -> str:
    truth = found.cohorts.truth
    groups = enumerated([f"'{name}'" for name in truth.groups])
    design = found.design
    others = [f"'{name}'" if code > 1 else name for code, name in enumerate(design.arms.names) if name != truth.cohort_arm]
    follow = f"the {others[0]} arm follows from the treatment's effect"
    if design.arms.further:
        follow = f"the arms {enumerated(others)} follow from the treatments' effects"
    uses = [*(["its benchmark"] if design.benchmark else []), *(["history to borrow from"] if design.borrowing else [])]
    also = f" The analysis has a cohort as {enumerated(uses)}." if uses else " The analysis uses no cohort."
    return (
        f"{truth.endpoint} from {truth.source}. It describes the {truth.cohort_arm} arm; {follow}. Risk groups: {groups}.{also}"
    )
