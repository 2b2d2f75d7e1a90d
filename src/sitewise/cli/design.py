"""`sitewise design`: operating characteristics of a trial, and the size that it needs."""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from sitewise.cli.run import NOT_FOR_PATIENTS, _progress
from sitewise.problems import TrialError, nearest

if TYPE_CHECKING:
    import pandas as pd

    from sitewise.inference.engine import Report
    from sitewise.trial.assessment import Assessment
    from sitewise.trial.operating.size import Solution, Vary
    from sitewise.trial.plan.design import TrialDesign

MOST = 5
"""Times the planned size, up to which a size is looked for."""
SHOWN = ("success", "futility", "patients", "events", "duration")


@dataclass(frozen=True)
class Asked:
    """Flags of the command line; None leaves the file's value."""

    trials: int | None
    seed: int | None
    workers: int | None
    changes: tuple[str, ...]
    solve: float | None
    vary: str
    most: int | None
    keep: Path | None


def run_design(trial: str, out: Path, asked: Asked) -> int:
    """Simulate, judge, write, and show a short table; return the exit code."""
    from sitewise.trial.plan.design import read_design

    console = Console(highlight=False, markup=False, emoji=False)
    path = design_path(trial)
    design = changed(read_design(path), asked)
    workers = asked.workers or os.cpu_count() or 1
    if asked.solve is not None:
        _check_solve(design, asked)
    elif asked.most is not None:
        raise TrialError("--most is of the search for a size: give --solve with the wanted probability of success.")
    refused: TrialError | None = None
    with _progress(console) as report:
        from sitewise.report.trial_write import write_assessment
        from sitewise.trial.assessment import assess

        found = assess(design, folder=path.parent, workers=workers, keep=asked.keep, report=report)
        solution = None
        try:
            solution = _solution(found, asked, workers, report) if asked.solve is not None else None
        except TrialError as error:
            refused = error  # what was simulated is written all the same
        written = write_assessment(found, out, solution=solution, source=path.name, report=report)
    _show(console, found)
    if solution is not None:
        console.print(solution.sentence, soft_wrap=True)
    for flag in found.flags:
        console.print(f"Note: {flag}", soft_wrap=True)
    console.print(NOT_FOR_PATIENTS)
    console.print(f"{len(written)} files in {out}; open the report: {out / 'report.html'}", soft_wrap=True)
    if refused is not None:
        raise refused
    return 0


def design_path(trial: str) -> Path:
    """Return the path of a TRIAL.toml, or of a worked trial that is named by its id."""
    from sitewise.trial.library import PACKAGED, trial_path

    if trial in PACKAGED:
        return trial_path(trial)
    path = Path(trial)
    if not path.is_file() and path.suffix != ".toml":
        raise TrialError(f"There is no file {trial}, and no worked trial of that name. {nearest(trial, PACKAGED)}")
    return path


def changed(design: TrialDesign, asked: Asked) -> TrialDesign:
    """Return the design with the changes of the command line."""
    changes: dict[str, Any] = {}
    for text in asked.changes:
        place, found, value = text.partition("=")
        if not found or not place.strip():
            raise TrialError(f"--set {text!r} is not PLACE=VALUE, such as arms.patients=150.")
        changes[place.strip()] = _value(value.strip())
    if asked.trials is not None:
        changes["simulation.trials"] = asked.trials
    if asked.seed is not None:
        changes["simulation.seed"] = asked.seed
    return design.changed(changes) if changes else design


def _value(text: str) -> Any:
    """Return a value as TOML reads it; what is no TOML value is text."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _check_solve(design: TrialDesign, asked: Asked) -> None:
    """Refuse a size that cannot be looked for before trials are simulated, not after."""
    from sitewise.trial.operating.size import check_search

    assert asked.solve is not None
    check_search(design, vary=_vary(asked), target=asked.solve, most=_most(design, asked))


def _vary(asked: Asked) -> Vary:
    return asked.vary  # type: ignore[return-value]


def _most(design: TrialDesign, asked: Asked) -> int:
    """Return the largest size tried: by default 5 times the planned one, or what the caps of the sites allow."""
    if asked.most is not None:
        return asked.most
    patients, sites = design.arms.patients, design.accrual.sites
    allowed = design.accrual.cap * sites if design.accrual.cap is not None else MOST * patients
    return {"patients": min(MOST * patients, allowed), "sites": MOST * sites, "events": patients}[asked.vary]


def _solution(found: Assessment, asked: Asked, workers: int, report: Report) -> Solution:
    from sitewise.trial.assessment import evaluator
    from sitewise.trial.operating.size import smallest_size

    assert asked.solve is not None
    return smallest_size(
        found.design,
        evaluator(found, workers=workers),
        vary=_vary(asked),
        target=asked.solve,
        most=_most(found.design, asked),
        report=report,
    )


def _show(console: Console, found: Assessment) -> None:
    from rich.table import Table

    design = found.design
    console.print(f"sitewise design: {design.id}: {design.title}", soft_wrap=True)
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("Scenario", overflow="fold")
    for name in SHOWN:
        table.add_column(name, justify="right", no_wrap=True)
    for world in found.results.worlds:
        own = found.characteristics[found.characteristics["scenario"] == world.name].set_index("quantity")
        table.add_row(f"{world.name}{' (null)' if world.null else ''}", *(_cell(own, name) for name in SHOWN))
    console.print(table)


def _cell(own: pd.DataFrame, name: str) -> str:
    value, mcse = (float(own[column].to_dict()[name]) for column in ("value", "mcse"))
    return f"{value:.3f} ({mcse:.3f})" if name in ("success", "futility") else f"{value:.1f}"
