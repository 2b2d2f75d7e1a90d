"""`sitewise fit --evidence`: what a paper implies under a model, from fits of many reconstructed cohorts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rich.console import Console

from sitewise.cli.run import FAILED, FEWEST_COLUMNS, NOT_FOR_PATIENTS, Flags, _fitted, _progress, _width
from sitewise.problems import Problems, StudyError

COHORTS = 50


def check_source(
    cohort: Path | None, evidence: str | None, *, config: Path | None, cohorts: int | None, no_report: bool = False
) -> None:
    """Check that a fit is asked of one thing: a patient table, or a paper's numbers.

    Raises
    ------
    StudyError
        Naming everything that does not go together.
    """
    problems = Problems()
    if cohort is None and evidence is None:
        problems.add("COHORT", "is missing", "Give a patient table, or a paper's numbers with --evidence.")
    if cohort is not None and evidence is not None:
        problems.add("--evidence", f"is given beside the table {cohort}", "Give one of them.")
    if evidence is not None and config is not None:
        problems.add("--config", "describes a patient table", "With --evidence give the model with --model.")
    if evidence is None and cohorts is not None:
        problems.add("--cohorts", "belongs to --evidence", "A patient table is one cohort.")
    if evidence is not None and no_report:
        problems.add("--no-report", "belongs to a patient table", "With --evidence the report is the answer.")
    problems.raise_if_any(StudyError, "The command")


def run_fit_evidence(which: str, out: Path, flags: Flags, *, cohorts: int | None) -> int:
    """Calibrate, reconstruct, fit, stack, write, and show a short table; return the exit code."""
    from sitewise.cli.calibrate import audited
    from sitewise.report.evidence_fit_page import banner
    from sitewise.report.evidence_fit_write import terminal_rows, write_evidence_fit
    from sitewise.studies.evidence_fits import ENGINE, fit_evidence
    from sitewise.studies.evidence_verdict import counts, judge

    prob = flags.prob if flags.prob is not None else 0.95
    if not 0 < prob < 1:
        raise StudyError(f"prob is {prob:g}; it must be between 0 and 1, such as 0.95.")
    if flags.engine not in (None, "nuts"):
        raise StudyError(f"With --evidence the engine is nuts, not '{flags.engine}'.")
    console = Console(highlight=False, markup=False, emoji=False)
    evidence, _ = audited(which)
    spec = None
    if flags.formula is not None:
        from sitewise.models import ModelSpec

        spec = ModelSpec.from_formula(flags.formula)
    engine = replace(ENGINE, draws=flags.draws or ENGINE.draws, chains=flags.chains or ENGINE.chains)
    with _progress(console) as report:
        fit = fit_evidence(
            evidence,
            spec,
            cohorts=cohorts if cohorts is not None else COHORTS,
            engine=engine,
            seed=flags.seed if flags.seed is not None else 1,
            calibrated_guarantee_time=True,
            report=report,
        )
        written = write_evidence_fit(fit, out, prob=prob, report=report)
    verdict, found = judge(fit), counts(fit.members)
    console.print(banner(fit), style="bold", soft_wrap=True)
    told = f"{fit.spec.formula}, {fit.spec.family.name}, {fit.spec.metric}"
    console.print(f"sitewise fit --evidence {which}: {told}", soft_wrap=True)
    unit = fit.spec.resolved.time_unit
    levels = f"{found['ok']} ok, {found['warn']} warn, {found['fail']} fail, {found['not_fitted']} not fitted"
    console.print(
        f"{found['in_stack']} of {found['asked']} cohorts are in the stack ({levels}); guarantee time "
        f"{fit.spec.guarantee_time:.2f} {unit} (mean over cohorts).",
        soft_wrap=True,
    )
    console.print()
    rows = terminal_rows(fit, out)
    columns = len(rows[0])
    while _width(rows, columns) > console.width and columns > FEWEST_COLUMNS:
        columns -= 1  # the last milestone; no number is ever cut
    console.print(_fitted(rows, columns))
    more = " More times: estimands.csv." if columns < len(rows[0]) else ""
    console.print(
        f"Median and {100 * prob:g} % interval of the stacked draws ({fit.sites[0].label} sites), in {unit}; n and events: "
        f"mean and range over cohorts. * beyond the group's follow-up.{more}",
        soft_wrap=True,
    )
    console.print(f"Verdict {verdict.sentence} {NOT_FOR_PATIENTS}", soft_wrap=True)
    console.print(f"{len(written)} files in {out}; open the report: {out / 'report.html'}", soft_wrap=True)
    if verdict.level == "fail" and not flags.allow_fail:
        console.print("The verdict is fail: do not use these numbers. (Exit code 1; --allow-fail gives 0.)", soft_wrap=True)
        return FAILED
    return 0
