"""`sitewise sbc`: simulation-based calibration of a study's model, and coverage by size where it is asked for."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from sitewise.cli.imputed import refuse_imputation
from sitewise.cli.run import FAILED, _progress
from sitewise.cli.study import Study, read_study
from sitewise.problems import StudyError

if TYPE_CHECKING:
    import pandas as pd

    from sitewise.cohort import Cohort
    from sitewise.inference import Engine
    from sitewise.models import ModelSpec

REPLICATES, DRAWS, ALPHA = 1000, 1000, 0.05


@dataclass(frozen=True)
class Asked:
    """Flags of the command line; None leaves the study file's value."""

    replicates: int | None
    engine: str | None
    draws: int | None
    around_posterior: bool
    workers: int | None
    seed: int | None


def run_sbc(path: Path | None, config: Path, out: Path, asked: Asked) -> int:
    """Simulate, fit, test, write, and show a short table; return 1 where calibration fails."""
    console = Console(highlight=False, markup=False, emoji=False)
    study = read_study(config)
    seed = asked.seed if asked.seed is not None else study.sampler.get("seed", 1)
    replicates = asked.replicates or study.sbc.get("replicates", REPLICATES)
    alpha = study.sbc.get("alpha", ALPHA)
    workers = asked.workers or os.cpu_count() or 1
    with _progress(console) as report:
        report("Reading the patients")
        model = study.spec()
        cohort = _cohort(path, study, model, seed)
        spec = model.resolve(cohort)
        from sitewise.report.sbc_write import write_sbc
        from sitewise.studies.sbc import posterior_sbc, sbc

        engine = _engine(asked, study)
        if asked.around_posterior:
            from sitewise.inference import Auto, fit

            fitted = fit(spec, cohort, engine=Auto(), seed=seed, report=report)
            found = posterior_sbc(
                fitted, replicates=replicates, engine=engine, alpha=alpha, seed=seed, workers=workers, report=report
            )
        else:
            found = sbc(
                spec, cohort, replicates=replicates, engine=engine, alpha=alpha, seed=seed, workers=workers, report=report
            )
        by_size = _coverage(study, model, seed, workers, report)
        written = write_sbc(found, out, spec=spec, cohort=cohort, seed=seed, by_size=by_size, report=report)
    _show(console, found.tests, found.sentence, f"sitewise sbc: {spec.formula}, around the {found.around}")
    console.print(f"{len(written)} files in {out}; open the report: {out / 'report.html'}", soft_wrap=True)
    return 0 if found.passed else FAILED


def _cohort(path: Path | None, study: Study, spec: ModelSpec, seed: int) -> Cohort:
    """Return the patients to simulate: of a table, or of the scenario that the study names."""
    scenario = study.sbc.get("scenario")
    refuse_imputation(study, "sitewise sbc")
    if path is not None:
        return study.cohort(path, spec)
    if scenario is None:
        raise StudyError(
            "Give a patient table, or scenario in [sbc] of the study file (krog-20-04, or a path): whose patients?"
        )
    from sitewise.simulate import load_scenario, simulate

    return simulate(load_scenario(scenario), seed)


def _engine(asked: Asked, study: Study) -> Engine:
    from sitewise.inference import Auto, NestedLaplace, Nuts

    name = asked.engine or "nested-laplace"
    draws = asked.draws or study.sbc.get("draws", DRAWS)
    if name == "nuts":
        return Nuts(draws=draws, tune=draws, chains=2, cores=1)
    return NestedLaplace(draws=draws) if name == "nested-laplace" else Auto(NestedLaplace(draws=draws))


def _coverage(study: Study, model: ModelSpec, seed: int, workers: int, report) -> pd.DataFrame | None:  # type: ignore[no-untyped-def]
    """Return coverage by numbers of patients and sites where the study asks for it."""
    keys = [key for key in study.sbc if key.startswith("coverage_")]
    if not keys:
        return None
    if "scenario" not in study.sbc:
        raise StudyError(f"[sbc] {keys[0]} needs scenario in [sbc]: coverage is of a truth that it states.")
    from sitewise.simulate import load_scenario
    from sitewise.studies.sbc import coverage

    return coverage(
        model,
        load_scenario(study.sbc["scenario"]),
        patients=study.sbc.get("coverage_patients", (50, 100, 200)),
        sites=study.sbc.get("coverage_sites", (3, 5, 10)),
        replicates=study.sbc.get("coverage_replicates", 500),
        seed=seed,
        workers=workers,
        report=report,
    )


def _show(console: Console, tests: pd.DataFrame, sentence: str, title: str) -> None:
    from rich.table import Table

    console.print(title, soft_wrap=True)
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("Quantity", overflow="fold")
    for name in ("p", "p folded", "p (Holm)", "mean PIT", "sd / uniform"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in tests.to_dict("records"):
        numbers = (row["p"], row["p_folded"], row["p_holm"], row["mean"], row["sd_ratio"])
        table.add_row(str(row["quantity"]), *(f"{value:.3f}" for value in numbers))
    console.print(table)
    console.print(f"Calibration {sentence}", soft_wrap=True)
