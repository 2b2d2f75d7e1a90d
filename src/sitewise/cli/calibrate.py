"""`sitewise calibrate`: from a paper's numbers to a process that reproduces them, with its report."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from sitewise.cli.run import FAILED, NOT_FOR_PATIENTS, _progress
from sitewise.problems import EvidenceError, Problem, ScenarioError, render

if TYPE_CHECKING:
    from sitewise.evidence import Evidence
    from sitewise.evidence.audit import Audit, Finding
    from sitewise.report.calibration_results import CalibrationResults
    from sitewise.report.calibration_verdict import CalibrationVerdict
    from sitewise.simulate.calibration import Assumptions, Calibration
    from sitewise.simulate.progression import ProgressionCalibration

    Report = Callable[[str], None]

ESTIMATED = "estimated"


@dataclass(frozen=True)
class Asked:
    """Flags of the command line; None leaves the value of the assumptions' file, or the default."""

    family: str | None = None
    guarantee_time: str | None = None
    sites: int | None = None
    site_sd: float | None = None
    endpoint: str = "os"
    seed: int = 1
    pool: int | None = None
    sensitivity: bool = True
    reconstruct: int = 0
    prob: float = 0.95
    progression: bool = True


def run_calibrate(which: str, config: Path | None, out: Path, asked: Asked) -> int:
    """Calibrate, judge, write, show a short table; return the exit code."""
    console = Console(highlight=False, markup=False, emoji=False)
    if not 0 < asked.prob < 1:
        raise ScenarioError(f"prob is {asked.prob:g}; it must be between 0 and 1, such as 0.95.")
    with _progress(console) as report:
        report("Reading and auditing the paper's numbers")
        evidence, found = audited(which)
        assumptions = assumptions_of(config, asked)
        why = progression_left_out(evidence, assumptions, asked)
        calibration = calibrated(evidence, assumptions, asked, report)
        from sitewise.report.calibration_results import CalibrationResults
        from sitewise.report.calibration_verdict import calibration_verdict
        from sitewise.report.calibration_write import write_calibration

        results = CalibrationResults(calibration, found, asked.endpoint, asked.prob)
        workers = os.cpu_count() or 1
        if asked.sensitivity:
            from sitewise.simulate.calibration.sensitivity import sensitivity

            table = sensitivity(calibration, endpoint=asked.endpoint, workers=workers, report=report)
            results = replace(results, sensitivity=table)
        progression, why = progression_of(calibration, why, asked, report)
        results = replace(results, progression=progression, without_progression=why)
        if asked.reconstruct:
            report(f"Reconstructing {asked.reconstruct} cohorts")
            made = calibration.reconstruct(asked.reconstruct, seed=asked.seed, report=report)
            made = made if progression is None else progression.add(made, seed=asked.seed)
            results = replace(results, reconstructed=made)
        verdict = calibration_verdict(results)
        written = write_calibration(results, out, report=report)
    _show(console, which, results, verdict, out, len(written))
    return FAILED if verdict.level == "fail" else 0


def audited(which: str) -> tuple[Evidence, Audit]:
    """Return a paper's numbers and their audit.

    Raises
    ------
    EvidenceError
        Naming everything that cannot be: what reading refuses, and every error of the audit, of a file that cannot be read of
        its other entries.
    """
    from sitewise.evidence import evidence_path, load_evidence
    from sitewise.evidence.audit import audit
    from sitewise.evidence.audit_rest import errors_of_rest
    from sitewise.records import read_toml

    try:
        evidence = load_evidence(which)
    except EvidenceError as error:
        rest = errors_of_rest(read_toml(evidence_path(which), EvidenceError), error.problems) if error.problems else ()
        if not rest:
            raise
        every = [*error.problems, *_problems(rest)]
        raise EvidenceError(render(every, evidence_path(which).name), every) from None
    found = audit(evidence)
    errors = _problems(found.of("error"))
    if errors:
        raise EvidenceError(f"{render(errors, evidence.id)}\nThese numbers cannot be calibrated to.", errors)
    return evidence, found


def _problems(findings: Iterable[Finding]) -> list[Problem]:
    return [Problem(item.place, item.sentence.rstrip(".")) for item in findings]


def assumptions_of(config: Path | None, asked: Asked) -> Assumptions:
    """Return the assumptions of a file, a flag winning over it."""
    from sitewise.records import read_record, read_toml
    from sitewise.simulate.calibration import Assumptions

    chosen = Assumptions()
    if config is not None:
        chosen = read_record(Assumptions, read_toml(config, ScenarioError), ScenarioError, subject=config.name)
    given: dict[str, Any] = {"family": asked.family, "sites": asked.sites, "site_sd": asked.site_sd}
    changed = {name: value for name, value in given.items() if value is not None}
    if asked.guarantee_time is not None:
        changed["guarantee_time"] = _guarantee_time(asked.guarantee_time)
    return replace(chosen, **changed)


def _guarantee_time(text: str) -> float | str:
    if text == ESTIMATED:
        return ESTIMATED
    try:
        return float(text)
    except ValueError:
        raise ScenarioError(f"--guarantee-time {text} must be a time, such as 2, or '{ESTIMATED}'.") from None


def calibrated(evidence: Evidence, assumptions: Assumptions, asked: Asked, report: Report) -> Calibration:
    """Return the calibration that was asked for."""
    from sitewise.simulate.calibration import calibrate
    from sitewise.simulate.calibration.calibrate import POOL

    pool = asked.pool if asked.pool is not None else POOL
    return calibrate(evidence, assumptions, endpoint=asked.endpoint, seed=asked.seed, pool=pool, report=report)


def progression_left_out(evidence: Evidence, assumptions: Assumptions, asked: Asked) -> str:
    """Return why progression is not calibrated beside survival, empty where it is; called before anything is simulated.

    Raises
    ------
    EvidenceError
        Naming everything that stops its calibration, and how to do without.
    """
    if not asked.progression:
        return "--no-progression was given, so that survival is calibrated alone"
    if asked.endpoint != "os":
        return "it goes beside endpoint os only"
    from sitewise.simulate.calibration import problem
    from sitewise.simulate.progression import why_left_out

    # What stops the calibration of survival is refused here already, in the same words.
    structure = problem.Problem.of(evidence, assumptions, endpoint=asked.endpoint).structure
    try:
        return why_left_out(evidence, structure)
    except EvidenceError as error:
        remedy = "Correct this, or calibrate survival alone with --no-progression."
        raise EvidenceError(f"{error}\n{remedy}", error.problems) from None


def progression_of(
    calibration: Calibration, why: str, asked: Asked, report: Report
) -> tuple[ProgressionCalibration | None, str]:
    """Return progression calibrated beside overall survival; or None, and why it is left out."""
    from sitewise.simulate.progression import calibrate_progression

    if why:
        return None, why
    report("Calibrating progression and patterns of failure")
    try:
        return calibrate_progression(calibration, seed=asked.seed, report=report), ""
    except EvidenceError as error:
        # Only simulated cohorts could tell. Survival is calibrated by now, and is not lost for it.
        return None, str(error).rstrip(".")


def _show(
    console: Console, which: str, results: CalibrationResults, verdict: CalibrationVerdict, out: Path, files: int
) -> None:
    from sitewise.report.calibration_first import assumptions, cited
    from sitewise.report.calibration_write import short_calibration

    console.print(f"sitewise calibrate {which}: {cited(results)}; {results.patients} patients", soft_wrap=True)
    for item in results.audit.of("warning"):
        console.print(f"Warning of the audit: {item.sentence} ({item.place})", soft_wrap=True)
    for row in results.conflicts.itertuples():
        console.print(f"Conflict, left out: {row.target} ({row.printed}, {row.where}).", soft_wrap=True)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in short_calibration(results, verdict):
        table.add_row(name, value)
    console.print()
    console.print(table)
    console.print(f"Mean and {100 * results.prob:g} % interval of the paper's own patients; then the numbers that fit worst.")
    console.print(assumptions(results)[0], soft_wrap=True)
    console.print(f"Verdict {verdict.level}: {verdict.sentence} {NOT_FOR_PATIENTS}", soft_wrap=True)
    console.print(f"{files} files in {out}; open the report: {out / 'report.html'}", soft_wrap=True)
