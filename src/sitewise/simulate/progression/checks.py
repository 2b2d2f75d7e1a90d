"""What is known about a paper's progression before anything is simulated: whether it can be calibrated, and why not."""

from __future__ import annotations

from sitewise.evidence import Evidence
from sitewise.problems import EvidenceError, Problems, nearest
from sitewise.simulate.calibration.characteristics import Structure
from sitewise.simulate.calibration.structure import FITTED, groups_of
from sitewise.simulate.progression.model import ProgressionModel
from sitewise.simulate.progression.schedule import DAYS, ScanSchedule
from sitewise.simulate.progression.targets import ProgressionTargets


def says_of_progression(evidence: Evidence, /, *, spec: ProgressionModel | None = None) -> bool:
    """Return whether a paper has entries about progression that are to be fitted; :func:`why_left_out` says if they can be."""
    spec = spec or ProgressionModel()
    used = [item.status for item in groups_of(evidence, spec.endpoint)]
    used += [term.status for model in evidence.model if model.endpoint == spec.endpoint for term in model.term]
    used += [item.status for item in evidence.failures if item.endpoint == spec.endpoint]
    return any(status in FITTED for status in used)


def why_left_out(evidence: Evidence, structure: Structure, /, *, spec: ProgressionModel | None = None) -> str:
    """Return why progression cannot go beside a calibrated survival, empty where it can; nothing is simulated.

    Parameters
    ----------
    evidence : Evidence
        The paper's numbers.
    structure : Structure
        Characteristics that the survival's calibration simulates.
    spec : ProgressionModel, optional
        Visits, priors, how the paper is read.

    Raises
    ------
    EvidenceError
        Naming everything that stops the calibration of what the paper prints about progression.
    """
    spec = spec or ProgressionModel()
    if not says_of_progression(evidence, spec=spec):
        return f"the paper has no entry about it with status fit or soft (endpoint '{spec.endpoint}')"
    return prepared(evidence, structure, spec)[0].nothing_to_fit


def prepared(
    evidence: Evidence, structure: Structure, spec: ProgressionModel, /
) -> tuple[ProgressionTargets, ScanSchedule | None]:
    """Return what a paper prints about progression, and the visits in its unit of time.

    Raises
    ------
    EvidenceError
        Naming everything that stops a calibration. That there is nothing to fit does not: the targets say so.
    """
    problems = Problems()
    targets = ProgressionTargets.of(evidence, structure, spec, problems)
    schedule, unit = spec.schedule, evidence.source.time_unit
    if not problems.found and targets.nothing_to_fit:
        return targets, schedule
    if schedule is not None and unit not in DAYS:
        problems.add("source time_unit", f"is '{unit}', which the scan schedule cannot be turned into", nearest(unit, DAYS))
    problems.raise_if_any(EvidenceError, f"Progression of {evidence.id}")
    return targets, None if schedule is None else schedule.in_unit(unit)
