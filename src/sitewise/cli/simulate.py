"""`sitewise simulate`: synthetic cohorts into a file, with what is true of them beside it.

A scenario is simulated as it is; a paper's numbers are calibrated to first, and three kinds of cohorts can be made of them.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from sitewise.problems import ScenarioError, plural

if TYPE_CHECKING:
    from sitewise.simulate import SimulatedCohorts

FORMATS = (".csv", ".parquet")


def run_simulate(which: str, out: Path, *, patients: int | None, sites: int | None, cohorts: int, seed: int) -> None:
    """Simulate cohorts of a scenario, write them and their truth, and print what was written."""
    import sitewise
    from sitewise.simulate import Sites, load_scenario, simulate_many

    if out.suffix.lower() not in FORMATS:
        raise ScenarioError(f"--out {out} must end in .csv or .parquet.")
    scenario = load_scenario(which)
    if patients is not None:
        scenario = replace(scenario, patients=patients)
    if sites is not None and sites != len(scenario.sites.labels):
        if scenario.sites.sd is None:
            raise ScenarioError("--sites needs a scenario whose sites are drawn (sd), not one with stated effects.")
        scenario = replace(scenario, sites=Sites.equal(sites, sd=scenario.sites.sd))
    made = simulate_many(scenario, cohorts, seed=seed)
    about = {
        "synthetic": True,
        "sitewise": sitewise.__version__,
        "scenario_hash": scenario.hash,
        "seed": seed,
        "cohorts": cohorts,
        "site_effects": made.site_effects.tolist(),
        "scenario": scenario.to_dict(),
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    _write(made, out, about)
    beside = out.with_suffix(".truth.json")
    beside.write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    events = made.event.sum(axis=1)
    each = f"{events.min()} to {events.max()} events each" if cohorts > 1 else plural(events[0], "event", "events")
    sizes = f"{plural(scenario.patients, 'patient', 'patients')} at {plural(len(scenario.sites.labels), 'site', 'sites')}"
    typer.echo(f"Synthetic data, no real patients: {plural(cohorts, 'cohort', 'cohorts')} of {sizes}, {each}.")
    typer.echo(f"Written: {out} (a row a patient), {beside} (what is true of them).")
    typer.echo(f"Scenario: {scenario.title}.")
    for assumption in scenario.all_assumptions:
        typer.echo(f"Assumed: {assumption}.")
    typer.echo(f"Scenario {scenario.hash[:16]}, seed {seed}.")


def takes_evidence(which: str, product: str | None) -> bool:
    """Return whether cohorts are of a paper's numbers: a product was asked for, or the file is a published summary."""
    if product is not None or not which.endswith(".toml"):
        return product is not None
    from sitewise.records import read_toml

    content = read_toml(which, ScenarioError)
    return "schema_version" in content and "source" in content


def run_products(
    which: str,
    out: Path,
    *,
    product: str,
    patients: int | None,
    sites: int | None,
    cohorts: int,
    seed: int,
    progression: bool = True,
) -> None:
    """Calibrate to a paper's numbers, write cohorts of the kind asked for, and print what was written."""
    from rich.console import Console

    from sitewise.cli.calibrate import Asked, assumptions_of, audited, calibrated, progression_left_out, progression_of
    from sitewise.cli.run import _progress
    from sitewise.evidence import evidence_hash
    from sitewise.simulate.progression import all_misses

    if out.suffix.lower() not in FORMATS:
        raise ScenarioError(f"--out {out} must end in .csv or .parquet.")
    if patients is not None:
        raise ScenarioError("--n goes with a scenario: cohorts of a paper have the paper's number of patients.")
    asked = Asked(sites=sites, seed=seed, progression=progression)
    with _progress(Console()) as report:
        report("Reading and auditing the paper's numbers")
        evidence, found = audited(which)
        assumptions = assumptions_of(None, asked)
        why = progression_left_out(evidence, assumptions, asked)
        calibration = calibrated(evidence, assumptions, asked, report)
        if product == "reconstruct":
            made = calibration.reconstruct(cohorts, seed=seed, report=report)
        else:
            made = (calibration.plug_in if product == "plug_in" else calibration.replicate)(cohorts, seed=seed)
        beside_survival, why = progression_of(calibration, why, asked, report)
        made = made if beside_survival is None else beside_survival.add(made, seed=seed)
        table, beside = made.save(out)
    events = made.cohorts.event.sum(axis=1)
    size = plural(calibration.problem.structure.patients, "patient", "patients")
    where = plural(calibration.problem.sites, "site", "sites")
    typer.echo(
        f"Synthetic data, no real patients: {plural(cohorts, 'cohort', 'cohorts')} ({product}) of {size} at {where}, "
        f"{events.min()} to {events.max()} events each."
    )
    for item in found.of("warning"):
        typer.echo(f"Warning of the audit: {item.sentence} ({item.place})")
    typer.echo(f"Written: {table} (a row a patient), {beside} (evidence, seed and parameter draws).")
    for assumption in calibration.scenario().all_assumptions:
        typer.echo(f"Assumed: {assumption}.")
    if why:
        typer.echo(f"Progression is left out: {why}.")
    if beside_survival is not None:
        for row in beside_survival.left_out().itertuples():
            typer.echo(f"Left out of progression: {row.target} ({row.reason}).")
    if product == "reconstruct":
        missed = all_misses(made)
        typer.echo(f"{plural(len(missed), 'printed number is', 'printed numbers are')} missed, over all cohorts.")
        for row in missed.itertuples():
            typer.echo(f"  cohort {row.cohort}, {row.part}: {row.target} ({row.printed})")
    typer.echo(f"Evidence {evidence_hash(evidence)[:16]}, seed {seed}. sitewise calibrate {which} tells how well it fits.")


def _write(made: SimulatedCohorts, out: Path, about: dict[str, object]) -> None:
    frame = made.frame()
    if out.suffix.lower() == ".csv":
        frame.to_csv(out, index=False)
        return
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pandas(frame, preserve_index=False)
    said = {key: about[key] for key in ("synthetic", "sitewise", "scenario_hash", "seed")}
    metadata = {**(table.schema.metadata or {}), b"sitewise": json.dumps(said).encode()}
    pq.write_table(table.replace_schema_metadata(metadata), out)
