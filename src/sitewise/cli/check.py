"""`sitewise check`: checks of a fit that was saved."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from sitewise.cli.run import _progress
from sitewise.problems import SpecError, StudyError

if TYPE_CHECKING:
    from sitewise.estimands import Population
    from sitewise.inference import FitResult
    from sitewise.inference.engine import Report
    from sitewise.studies.small_subgroups import SmallSubgroups

POSTERIOR = "posterior.nc"


@dataclass(frozen=True)
class Asked:
    """Flags of the command line."""

    replicates: int
    times: tuple[float, ...]
    workers: int | None
    seed: int
    prob: float
    families: bool
    subgroups: bool


def run_check(folder: Path, config: Path | None, out: Path | None, asked: Asked) -> int:
    """Load a fit, check it, write, and show a short table."""
    console = Console(highlight=False, markup=False, emoji=False)
    if not 0 < asked.prob < 1:  # said before the long work
        raise StudyError(f"prob is {asked.prob:g}; it must be between 0 and 1, such as 0.95.")
    path = folder / POSTERIOR if folder.is_dir() else folder
    if not path.is_file():
        raise StudyError(f"There is no {POSTERIOR} in {folder}: name the folder that `sitewise fit --out` wrote.")
    target = out if out is not None else path.parent
    with _progress(console) as report:
        report("Reading the fit")
        from sitewise.inference import load

        fitted = load(path)
        from sitewise.cli.study import read_study
        from sitewise.estimands import RiskGroups

        groups: Population = RiskGroups.default(fitted.cohort, fitted.spec.variables)
        if config is not None:
            groups = read_study(config).risk_groups(fitted.cohort, fitted.spec)
        from sitewise.report.checks_write import write_checks
        from sitewise.studies.checking.check import check
        from sitewise.studies.checking.sites_left_out import told_of_sites

        found = check(
            fitted,
            groups=groups,
            times=asked.times or None,
            replicates=asked.replicates,
            prob=asked.prob,
            seed=asked.seed,
            workers=asked.workers or os.cpu_count() or 1,
            report=report,
        )
        families = None
        if asked.families:
            from sitewise.studies.family_comparison import compare_families

            families = compare_families(fitted, groups=groups, prob=asked.prob, seed=asked.seed, report=report)
        notes = [*found.notes, *(families.notes if families is not None else ())]
        subgroups = _subgroups(fitted, groups, asked, notes, report) if asked.subgroups else None
        written = write_checks(found, fitted, target, seed=asked.seed, families=families, subgroups=subgroups, report=report)
    if fitted.cohort.synthetic:
        console.print("Synthetic patients.", style="bold")
    console.print(f"sitewise check {folder}: {fitted.spec.formula}, {fitted.spec.family.name}", soft_wrap=True)
    for row in found.table.itertuples():
        console.print(f"  {'!' if row.found else ' '} {row.check}: {row.sentence}.", soft_wrap=True)
    if families is not None:
        console.print(f"    families: {families.sentence}", soft_wrap=True)
    if found.left_out_sites is not None:
        console.print(f"    left out: {told_of_sites(found.left_out_sites)}", soft_wrap=True)
    if subgroups is not None:
        smallest = subgroups.table.iloc[int(subgroups.table["events"].argmin())]
        console.print(f"    smallest of {len(subgroups.table)} groups: {smallest['sentence']}", soft_wrap=True)
    if config is None:
        console.print("Groups are levels of covariates; --config STUDY.toml for the study's own risk groups.", soft_wrap=True)
    for note in notes:
        console.print(f"Note: {note}", soft_wrap=True)
    console.print(f"{len(written)} files in {target}; open {target / 'checks.html'}", soft_wrap=True)
    return 0


def _subgroups(fitted: FitResult, groups: Population, asked: Asked, notes: list[str], report: Report) -> SmallSubgroups | None:
    """Return what is known of small groups at the middle time, or None with a note that says why."""
    from sitewise.studies.checking.check import judged_times
    from sitewise.studies.small_subgroups import small_subgroups

    times = judged_times(fitted, asked.times or None)
    report("Small subgroups")
    try:
        return small_subgroups(
            fitted,
            time=times[len(times) // 2],
            groups=groups,
            prob=asked.prob,
            seed=asked.seed,
            workers=asked.workers or os.cpu_count() or 1,
        )
    except SpecError as error:
        notes.append(f"Small subgroups were left out. {error}")
        return None
