"""The commands, their flags and their help; what they do is in the other modules, imported when a command runs."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    name="sitewise",
    help="Bayesian survival in small cohorts from several hospitals: fit, check, report risk-group survival.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


class EngineName(StrEnum):
    """Engines that can be asked for."""

    NUTS = "nuts"


Out = Annotated[Path, typer.Option("--out", help="Folder for the files; made when missing.")]
Seed = Annotated[int | None, typer.Option("--seed", help="Seed; default the study's, else 1.")]
Draws = Annotated[int | None, typer.Option("--draws", min=4, help="Draws per chain; default 1000.")]
Chains = Annotated[int | None, typer.Option("--chains", min=1, help="Chains; default 4.")]
Prob = Annotated[float | None, typer.Option("--prob", help="Probability of intervals; default 0.95.")]
AllowFail = Annotated[bool, typer.Option("--allow-fail", help="Exit with 0 even when the verdict on the computation is fail.")]
Engine = Annotated[EngineName | None, typer.Option("--engine", help="How the posterior is computed; default nuts.")]


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    """Bayesian survival in small cohorts from several hospitals: fit, check, report risk-group survival."""
    if version:
        import sitewise

        typer.echo(f"sitewise {sitewise.__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(2)


@app.command()
def fit(
    cohort: Annotated[Path, typer.Argument(help="Patient table, .csv or .parquet.")],
    out: Out,
    model: Annotated[
        str | None, typer.Option("--model", help='Formula: "Surv(time, event) ~ ecog + age + (1 | site)".')
    ] = None,
    config: Annotated[Path | None, typer.Option("--config", help="Study file (TOML); flags win over it.")] = None,
    engine: Engine = None,
    draws: Draws = None,
    chains: Chains = None,
    seed: Seed = None,
    prob: Prob = None,
    allow_fail: AllowFail = False,
) -> None:
    """Fit a hierarchical survival model to a patient table and write tables, pictures, the report and the posterior."""
    from sitewise.cli.run import Flags, run_fit

    flags = Flags(formula=model, engine=engine, draws=draws, chains=chains, seed=seed, prob=prob, allow_fail=allow_fail)
    raise typer.Exit(run_fit(cohort, config, out, flags))


@app.command()
def demo(
    name: Annotated[
        str, typer.Argument(help="krog-20-04 (synthetic patients with known truth) or lung (real ones).")
    ] = "krog-20-04",
    out: Annotated[Path | None, typer.Option("--out", help="Folder for the files; default out/demo-NAME.")] = None,
    engine: Engine = None,
    draws: Draws = None,
    chains: Chains = None,
    seed: Seed = None,
    prob: Prob = None,
    allow_fail: AllowFail = False,
) -> None:
    """Do the whole job on packaged data: fit, check, tables, pictures, report."""
    from sitewise.cli.run import Flags, run_demo

    flags = Flags(formula=None, engine=engine, draws=draws, chains=chains, seed=seed, prob=prob, allow_fail=allow_fail)
    raise typer.Exit(run_demo(name, out, flags))


@app.command()
def simulate(
    scenario: Annotated[str, typer.Argument(help="Id of a packaged scenario (krog-20-04), or the path of a .toml file.")],
    out: Annotated[Path, typer.Option("--out", help="File to write: .csv or .parquet.")],
    patients: Annotated[int | None, typer.Option("--n", min=1, help="Patients of a cohort; default the scenario's.")] = None,
    sites: Annotated[
        int | None, typer.Option("--sites", min=1, help="Sites, of equal size; default the scenario's own sites.")
    ] = None,
    cohorts: Annotated[int, typer.Option("--cohorts", min=1, help="Number of cohorts.")] = 1,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed.")] = 1,
) -> None:
    """Write synthetic cohorts with known truth."""
    from sitewise.cli.simulate import run_simulate

    run_simulate(scenario, out, patients=patients, sites=sites, cohorts=cohorts, seed=seed)


@app.command()
def evidence(
    which: Annotated[
        str | None,
        typer.Argument(help="Id of a packaged summary (krog-20-04), or path of a .toml file; without: the list."),
    ] = None,
) -> None:
    """List published summaries, or check one and show its numbers with where they stand."""
    from sitewise.cli.evidence import run_evidence

    run_evidence(which)


@app.command()
def audit(
    which: Annotated[
        str, typer.Argument(metavar="EVIDENCE", help="Id of a packaged summary (krog-20-04), or path of a .toml file.")
    ],
    out: Annotated[Path | None, typer.Option("--out", help="File for the findings: .csv.")] = None,
) -> None:
    """Say what a paper's numbers imply, and where they contradict each other."""
    from sitewise.cli.audit import run_audit

    raise typer.Exit(run_audit(which, out))


def main() -> None:
    """Run the command line; problems in what the user gave are a message and exit code 2."""
    from sitewise.problems import SitewiseError

    try:
        app()
    except SitewiseError as error:
        typer.echo(f"Error: {error}", err=True)
        raise SystemExit(2) from None
