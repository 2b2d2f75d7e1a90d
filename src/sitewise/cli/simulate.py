"""`sitewise simulate`: synthetic cohorts into a file, with what is true of them beside it."""

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
