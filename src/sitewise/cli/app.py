"""The commands, their flags and their help; what they do is in the other modules, imported when a command runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sitewise.cli.design_command import design
from sitewise.cli.flags import AllowFail, Chains, Draws, Engine, FamilyName, NoReport, Out, Prob, ProductName, Seed, Ties

SELDOM = 500_000
"""New objects between collections of cyclic garbage: loading libraries makes many and leaves little, and commands end soon."""

NoProgression = Annotated[bool, typer.Option("--no-progression", help="Calibrate survival alone, without progression.")]

app = typer.Typer(
    name="sitewise",
    help="Bayesian survival in small cohorts from several hospitals: fit, check, report risk-group survival.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


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
    out: Out,
    cohort: Annotated[
        Path | None, typer.Argument(metavar="COHORT", help="Patient table, .csv or .parquet; or, instead of it, --evidence.")
    ] = None,
    evidence: Annotated[
        str | None,
        typer.Option(
            "--evidence",
            help="A paper's numbers: id of a packaged summary (krog-20-04), or path of a .toml file; 2 x 500 draws a cohort.",
        ),
    ] = None,
    cohorts: Annotated[
        int | None, typer.Option("--cohorts", min=1, help="With --evidence: cohorts that are reconstructed; default 50.")
    ] = None,
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
    no_report: NoReport = False,
) -> None:
    """Fit a hierarchical survival model to a patient table, or to a paper's numbers, and write tables, pictures, the report."""
    from sitewise.cli.fit_evidence import check_source, run_fit_evidence
    from sitewise.cli.run import Flags, run_fit

    flags = Flags(model, engine, draws, chains, seed, prob, allow_fail, no_report)
    check_source(cohort, evidence, config=config, cohorts=cohorts, no_report=no_report)
    if evidence is not None:
        raise typer.Exit(run_fit_evidence(evidence, out, flags, cohorts=cohorts))
    if cohort is not None:
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

    flags = Flags(None, engine, draws, chains, seed, prob, allow_fail)
    raise typer.Exit(run_demo(name, out, flags))


@app.command()
def simulate(
    scenario: Annotated[
        str,
        typer.Argument(
            help="Id of a packaged scenario (krog-20-04), or the path of a .toml file: a scenario or a paper's numbers."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="File to write: .csv or .parquet.")],
    patients: Annotated[int | None, typer.Option("--n", min=1, help="Patients of a cohort; default the scenario's.")] = None,
    sites: Annotated[
        int | None, typer.Option("--sites", min=1, help="Sites, of equal size; its own number keeps a scenario's sizes.")
    ] = None,
    cohorts: Annotated[int, typer.Option("--cohorts", min=1, help="Number of cohorts.")] = 1,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed.")] = 1,
    product: Annotated[
        ProductName | None,
        typer.Option("--product", help="Of a paper's numbers, which are calibrated to first; default replicate."),
    ] = None,
    no_progression: NoProgression = False,
) -> None:
    """Write synthetic cohorts with known truth, or cohorts of a process calibrated to a paper's numbers."""
    from sitewise.cli.simulate import run_products, run_simulate, takes_evidence

    if takes_evidence(scenario, product):
        kind, beside = product or "replicate", not no_progression
        run_products(
            scenario, out, product=kind, patients=patients, sites=sites, cohorts=cohorts, seed=seed, progression=beside
        )
    else:
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


@app.command()
def calibrate(
    which: Annotated[
        str, typer.Argument(metavar="EVIDENCE", help="Id of a packaged summary (krog-20-04), or path of a .toml file.")
    ],
    out: Out,
    config: Annotated[Path | None, typer.Option("--config", help="Assumptions (TOML); flags win over it.")] = None,
    family: Annotated[FamilyName | None, typer.Option("--family", help="Family of the baseline; default weibull.")] = None,
    guarantee_time: Annotated[
        str | None, typer.Option("--guarantee-time", metavar="T|estimated", help="Nobody dies or leaves before it.")
    ] = None,
    sites: Annotated[int | None, typer.Option("--sites", min=1, help="Number of sites; default the paper's.")] = None,
    site_sd: Annotated[
        float | None, typer.Option("--site-sd", min=0.0, help="Spread between sites, which no paper says; default a prior.")
    ] = None,
    endpoint: Annotated[str, typer.Option("--endpoint", help="os, pfs or another that the evidence uses.")] = "os",
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed.")] = 1,
    pool: Annotated[
        int | None, typer.Option("--pool", min=1000, help="Cohorts simulated for the posterior; default 24000.")
    ] = None,
    sensitivity: Annotated[
        bool, typer.Option("--sensitivity/--no-sensitivity", help="Whether to calibrate under other assumptions as well.")
    ] = True,
    reconstruct: Annotated[
        int, typer.Option("--reconstruct", min=0, help="Number of cohorts to make whose tables are the paper's.")
    ] = 0,
    prob: Annotated[float, typer.Option("--prob", help="Probability of intervals.")] = 0.95,
    no_progression: NoProgression = False,
) -> None:
    """Find the process that reproduces a paper's numbers, with its uncertainty, and report how well it does."""
    from sitewise.cli.calibrate import Asked, run_calibrate

    beside = not no_progression
    asked = Asked(family, guarantee_time, sites, site_sd, endpoint, seed, pool, sensitivity, reconstruct, prob, beside)
    raise typer.Exit(run_calibrate(which, config, out, asked))


@app.command()
def tables(
    cohort: Annotated[Path, typer.Argument(help="Patient table, .csv or .parquet.")],
    out: Out,
    config: Annotated[Path | None, typer.Option("--config", help="Study file (TOML): columns, recodes, groups.")] = None,
    evidence: Annotated[
        str | None, typer.Option("--evidence", help="Paper whose analysis is repeated: id (krog-20-04) or .toml file.")
    ] = None,
    number: Annotated[str | None, typer.Option("--cohort", help="Which cohort of a file that holds several.")] = None,
    entry_p: Annotated[float, typer.Option("--entry-p", help="Univariate p below which a covariate enters.")] = 0.1,
    ties: Annotated[Ties, typer.Option("--ties", help="How Cox models treat tied times.")] = Ties.EFRON,
    toxicity: Annotated[list[str] | None, typer.Option("--toxicity", help="Column of grades; can be repeated.")] = None,
    by: Annotated[
        str | None, typer.Option("--by", help="What Table 1 compares: site, 'risk group' or a column; default the sites.")
    ] = None,
    fit: Annotated[bool, typer.Option("--fit", help="Show the hierarchical model beside (some ten seconds).")] = False,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed.")] = 1,
) -> None:
    """Do the classical analysis of a cohort: counts, Kaplan-Meier, log-rank, Cox, beside a paper's numbers."""
    from sitewise.cli.tables import TablesFlags, run_tables

    flags = TablesFlags(
        evidence=evidence,
        cohort=number,
        entry_p=entry_p,
        ties=ties.value,
        toxicity=tuple(toxicity or ()),
        by=by,
        fit=fit,
        seed=seed,
    )
    raise typer.Exit(run_tables(cohort, config, out, flags))


@app.command()
def sbc(
    config: Annotated[Path, typer.Option("--config", help="Study file (TOML): the model, its priors, and [sbc].")],
    out: Out,
    cohort: Annotated[
        Path | None,
        typer.Argument(metavar="COHORT", help="Patient table whose patients are simulated anew; or [sbc] scenario."),
    ] = None,
    replicates: Annotated[int | None, typer.Option("--replicates", min=20, help="Truths drawn; default 1000.")] = None,
    engine: Engine = None,
    draws: Annotated[int | None, typer.Option("--draws", min=4, help="Draws of each fit; default 1000.")] = None,
    around_posterior: Annotated[
        bool, typer.Option("--posterior", help="Truths from the posterior of the patients' own data, not from the prior.")
    ] = False,
    workers: Annotated[int | None, typer.Option("--workers", min=1, help="Threads; default one a core.")] = None,
    seed: Seed = None,
) -> None:
    """Simulate from the model's own prior, fit, and see whether the posteriors are right (simulation-based calibration)."""
    from sitewise.cli.sbc import Asked, run_sbc

    asked = Asked(replicates, engine, draws, around_posterior, workers, seed)
    raise typer.Exit(run_sbc(cohort, config, out, asked))


@app.command()
def check(
    fit: Annotated[Path, typer.Argument(metavar="DIR", help="Folder that `sitewise fit` wrote, or its posterior.nc.")],
    out: Annotated[Path | None, typer.Option("--out", help="Folder for the files; default the fit's own.")] = None,
    config: Annotated[Path | None, typer.Option("--config", help="Study file (TOML), for its risk groups.")] = None,
    replicates: Annotated[int, typer.Option("--replicates", min=19, help="Cohorts simulated from the fit.")] = 200,
    time: Annotated[
        list[float] | None, typer.Option("--time", help="Time at which predictions are judged; can be repeated.")
    ] = None,
    workers: Annotated[int | None, typer.Option("--workers", min=1, help="Threads; default one a core.")] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed.")] = 1,
    prob: Annotated[float, typer.Option("--prob", help="Probability of limits.")] = 0.95,
    families: Annotated[
        bool, typer.Option("--families", help="Fit the same model under the other families as well (half a minute).")
    ] = False,
    subgroups: Annotated[
        bool, typer.Option("--subgroups/--no-subgroups", help="What is known of small groups, and from whom.")
    ] = True,
) -> None:
    """Check a fit: the hazard's form, sites, effects over time, censoring, predictions, and how much is the prior."""
    from sitewise.cli.check import Asked, run_check

    raise typer.Exit(
        run_check(fit, config, out, Asked(replicates, tuple(time or ()), workers, seed, prob, families, subgroups))
    )


app.command()(design)


def main() -> None:
    """Run the command line; problems in what the user gave are a message and exit code 2."""
    import gc

    from sitewise.problems import SitewiseError

    gc.set_threshold(SELDOM)
    try:
        app()
    except SitewiseError as error:
        typer.echo(f"Error: {error}", err=True)
        raise SystemExit(2) from None
