"""What `fit` and `demo` do: read, fit, judge, write, and show a short table."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.table import Table

from sitewise.cli.imputed import fit_imputed_study, is_imputed
from sitewise.cli.study import Study, read_study
from sitewise.problems import StudyError, listed, nearest

if TYPE_CHECKING:
    from sitewise.cohort import Cohort
    from sitewise.inference import Engine, FitResult
    from sitewise.models import ModelSpec
    from sitewise.report import Analysis

    Reader = Callable[[Study, ModelSpec, int], Cohort]
    """Gets the patients of a study, its model and the seed."""

ENGINES = ("nuts", "nested-laplace", "auto")
FAILED = 1
FEWEST_COLUMNS = 5
"""Of the terminal's table: everything but the milestones."""
NARROWEST_GROUP = 10
NOT_FOR_PATIENTS = "For groups of patients, not for decisions on single patients."


@dataclass(frozen=True)
class Flags:
    """Flags of the command line; None leaves the study file's value."""

    formula: str | None
    engine: str | None
    draws: int | None
    chains: int | None
    seed: int | None
    prob: float | None
    allow_fail: bool
    no_report: bool = False


def run_fit(cohort_path: Path, config: Path | None, out: Path, flags: Flags) -> int:
    """Fit a table under a study file, a formula, or both; return the exit code."""
    if config is None and flags.formula is None:
        raise StudyError("Give a model: --model FORMULA, --config study.toml, or both.")
    study = read_study(config) if config is not None else Study()

    def read(asked: Study, spec: ModelSpec, seed: int) -> Cohort:
        return asked.cohort(cohort_path, spec)

    return _analyse(study, read, out, flags, f"sitewise fit {cohort_path}")


def run_demo(name: str, out: Path | None, flags: Flags) -> int:
    """Fit a packaged cohort, or one simulated from a packaged scenario, under its packaged study; return the exit code."""
    from sitewise.cohort.packaged import PACKAGED, packaged_path
    from sitewise.simulate.packaged import PACKAGED as SCENARIOS
    from sitewise.simulate.packaged import scenario_path

    if name not in (*PACKAGED, *SCENARIOS):
        demos = (*SCENARIOS, *PACKAGED)
        raise StudyError(f"There is no demo '{name}'. Demos: {listed(demos)}.")
    folder = out if out is not None else Path("out") / f"demo-{name}"
    if name in PACKAGED:
        path, study = packaged_path(name), read_study(packaged_path(name, ".toml"))
        return _analyse(study, lambda asked, spec, seed: asked.cohort(path, spec), folder, flags, f"sitewise demo {name}")

    def simulated(study: Study, spec: ModelSpec, seed: int) -> Cohort:
        from sitewise.simulate import load_scenario, simulate

        cohort = simulate(load_scenario(name), seed)
        folder.mkdir(parents=True, exist_ok=True)
        cohort.frame.to_csv(folder / "cohort.csv", index=False)
        return cohort

    return _analyse(
        read_study(scenario_path(name, ".study.toml")), simulated, folder, flags, f"sitewise demo {name}", more_files=1
    )


def _analyse(study: Study, read: Reader, out: Path, flags: Flags, title: str, *, more_files: int = 0) -> int:
    console = Console(highlight=False, markup=False, emoji=False)  # names in brackets are the user's, not styles
    if flags.formula is not None:
        study = study.with_formula(flags.formula)
    seed = flags.seed if flags.seed is not None else study.sampler.get("seed", 1)
    with _progress(console) as report:
        report("Reading the patients")
        spec = study.spec()
        cohort = read(study, spec, seed)
        groups = study.risk_groups(cohort, spec)
        if not is_imputed(study):
            groups.groups(cohort)  # a wrong rule should show before the long work
        prob = flags.prob if flags.prob is not None else study.report.get("prob", 0.95)
        if not 0 < prob < 1:  # said before the long work
            raise StudyError(f"prob is {prob:g}; it must be between 0 and 1, such as 0.95.")
        from sitewise.inference import NestedLaplace, Nuts, fit
        from sitewise.report import Analysis, write_all

        engine = _engine(flags, study)
        posterior = (
            fit_imputed_study(study, spec, cohort, flags=flags, seed=seed, report=report)
            if is_imputed(study)
            else fit(spec, cohort, engine=engine, seed=seed, report=report)
        )
        analysis = Analysis(
            posterior,
            groups,
            times=tuple(float(item) for item in study.report.get("times", ())),
            rmst_horizon=study.report.get("rmst_horizon"),
            prob=prob,
            margins=study.report.get("margins", {}),
            question=study.report.get("question", ""),
        )
        if spec.has_sites and not is_imputed(study):  # what compares models takes one complete cohort
            from sitewise.studies import site_models

            report("Fitting without site effects, and with fixed ones")
            middle = analysis.milestones[(len(analysis.milestones) - 1) // 2]
            other = None if posterior.engine == Nuts.name else NestedLaplace(fallback=True)  # what the fast engine took
            compared = site_models(posterior, groups=analysis.population, times=[middle], prob=prob, engine=other)
            analysis = replace(analysis, site_models=compared)
        written = write_all(analysis, out, page=not flags.no_report, report=report)
    _show(console, title, posterior, analysis, out, len(written) + more_files)
    if posterior.verdict.level == "fail" and not flags.allow_fail:
        told = "The verdict is fail: do not use these numbers. (Exit code 1; --allow-fail gives 0.)"
        console.print(told, soft_wrap=True)
        return FAILED
    return 0


def _engine(flags: Flags, study: Study) -> Engine:
    """Return the engine that flags and study file ask for, flags first."""
    from sitewise.inference import Auto, NestedLaplace, Nuts

    name = flags.engine or study.sampler.get("engine", "nuts")
    chosen = {key: study.sampler[key] for key in ("draws", "tune", "chains", "target_accept") if key in study.sampler}
    given = {"draws": flags.draws, "chains": flags.chains}
    chosen |= {key: value for key, value in given.items() if value is not None}
    if name == "nuts":
        return Nuts(**chosen)
    fast = NestedLaplace(draws=chosen["draws"]) if "draws" in chosen else NestedLaplace()
    if name == "nested-laplace":
        if flags.chains is not None:
            raise StudyError("--chains belongs to nuts: the fast engine's draws are independent.")
        return replace(fast, fallback=Nuts(**chosen))
    if name == "auto":
        return Auto(fast, Nuts(**chosen))
    raise StudyError(f"There is no engine '{name}'. {nearest(name, ENGINES)}")


@contextmanager
def _progress(console: Console) -> Iterator[Callable[[str], None]]:
    """Yield a function that shows what is being done: a spinner in a terminal, a line each elsewhere."""
    started = time.perf_counter()
    if console.is_terminal:
        with console.status("Starting") as status:
            yield lambda message: status.update(f"{message} ...")
    else:
        yield lambda message: typer.echo(f"[{time.perf_counter() - started:5.1f} s] {message} ...", err=True)


def _width(rows: list[list[str]], columns: int) -> int:
    """Return how wide the first columns are at least: the group's name can be folded, numbers cannot."""
    shown = [[name.replace(" ", "\n") for name in rows[0]], *rows[1:]]
    numbers = [[row[position] for row in shown] for position in range(1, columns)]
    return NARROWEST_GROUP + 1 + sum(1 + max(len(line) for cell in column for line in cell.split("\n")) for column in numbers)


def _fitted(rows: list[list[str]], columns: int) -> Table:
    """Return the first columns of the short table."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for position, name in enumerate(rows[0][:columns]):
        if position == 0:
            table.add_column(name, overflow="fold", vertical="top", min_width=NARROWEST_GROUP)
        else:
            table.add_column(name.replace(" ", "\n"), justify="right", vertical="top", no_wrap=True)
    for row in rows[1:]:
        table.add_row(*row[:columns])
    return table


def _show(console: Console, title: str, fit: FitResult, analysis: Analysis, out: Path, files: int) -> None:
    from sitewise.report import short_table
    from sitewise.report.doubts import early_events
    from sitewise.report.imputed import imputed_sentences, imputed_warnings

    cohort = fit.cohort
    from sitewise.report.page_first import banner

    if banner(analysis):
        console.print(banner(analysis), style="bold", soft_wrap=True)
    console.print(f"{title}: {fit.spec.formula}, {fit.spec.family.name}, {fit.spec.metric}", soft_wrap=True)
    console.print(f"Data: {cohort.source}; {len(cohort)} patients, {int(cohort.event.sum())} events", soft_wrap=True)
    for note in cohort.notes:
        console.print(f"Note: {note}", soft_wrap=True)
    for told in imputed_sentences(fit):
        console.print(f"Missing: {told}", soft_wrap=True)
    rows = short_table(out, analysis.headline.label)
    columns = len(rows[0])
    table = _fitted(rows, columns)
    while _width(rows, columns) > console.width and columns > FEWEST_COLUMNS:
        columns -= 1  # the last milestone; no number is ever cut
        table = _fitted(rows, columns)
    console.print()
    console.print(table)
    treatment = "patients at their own sites" if analysis.headline.label == "observed" else f"{analysis.headline.label} site"
    console.print(
        f"Posterior median and {100 * analysis.prob:g} % interval, {treatment}, in {cohort.time_unit}."
        + (" * beyond the group's follow-up." if any("*" in cell for row in rows for cell in row[:columns]) else "")
        + (" More times: estimands.csv." if columns < len(rows[0]) else ""),
        soft_wrap=True,
    )
    for warning in (*cohort.warnings, *imputed_warnings(fit), *early_events(fit)):
        console.print(f"Warning: {warning}", soft_wrap=True)
    console.print(f"Verdict {fit.verdict.sentence} {NOT_FOR_PATIENTS}", soft_wrap=True)
    opened = "" if not (out / "report.html").is_file() else f"; open the report: {out / 'report.html'}"
    console.print(f"{files} files in {out}{opened}", soft_wrap=True)
