"""`sitewise tables`: the classical analysis of a patient table, beside a paper's numbers and the hierarchical model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rich.console import Console
from rich.table import Table

from sitewise.cli.imputed import is_imputed
from sitewise.cli.run import NOT_FOR_PATIENTS, _progress
from sitewise.cli.study import Study, read_study
from sitewise.problems import StudyError, listed, nearest

if TYPE_CHECKING:
    import pandas as pd

    from sitewise.cohort import Cohort
    from sitewise.evidence import Evidence
    from sitewise.studies.classical_analysis import ClassicalPlan, ClassicalTables

COHORT = "cohort"
"""Column of the number of a cohort in files that hold several."""
PROVENANCE = ("product", "evidence", "evidence_hash", "seed", "draw", "synthetic")
"""Columns of synthetic tables that say where a row comes from."""
FAILED = 1


@dataclass(frozen=True)
class TablesFlags:
    """Flags of the command line; None leaves the study file's value, else the default."""

    evidence: str | None = None
    cohort: str | None = None
    entry_p: float = 0.1
    ties: Literal["efron", "breslow"] = "efron"
    toxicity: tuple[str, ...] = ()
    by: str | None = None
    fit: bool = False
    seed: int = 1


def run_tables(path: Path, config: Path | None, out: Path, flags: TablesFlags) -> int:
    """Read, analyse, write; print the Cox table and the files; return the exit code."""
    console = Console(highlight=False, markup=False, emoji=False)
    with _progress(console) as report:
        report("Reading the patients")
        study = read_study(config) if config is not None else Study()
        evidence = _evidence(flags.evidence)
        frame, note = choose_cohort(_read(path), flags.cohort, path.name)
        cohort = cohort_of(frame, study, evidence, source=f"patients of {path.name}{note}", toxicities=flags.toxicity)
        from sitewise.studies.classical_analysis import Outcomes, classical_tables

        outcomes = Outcomes.read(cohort, frame, toxicities=flags.toxicity)
        plan = planned(cohort, study, evidence, flags)
        report("Computing the tables")
        tables = classical_tables(cohort, plan, outcomes=outcomes)
        beside = None
        if flags.fit:
            from sitewise.studies.classical_analysis.hidden import beside_the_model

            beside = beside_the_model(
                tables, guarantee_time=float(study.model.get("guarantee_time", 0.0)), seed=flags.seed, report=report
            )
        from sitewise.report.classical_write import write_classical

        written = write_classical(tables, out, beside=beside, question=study.report.get("question", ""), report=report)
    _show(console, tables)
    console.print(f"{len(written)} files in {out}; open the report: {out / 'report.html'}", soft_wrap=True)
    if beside is not None and beside.fit.verdict.level == "fail":
        console.print("The verdict on the hierarchical model is fail: do not use its numbers. (Exit code 1.)", soft_wrap=True)
        return FAILED
    return 0


def _read(path: Path) -> pd.DataFrame:
    from sitewise.cohort import read_table

    return read_table(path)


def _evidence(which: str | None) -> Evidence | None:
    if which is None:
        return None
    from sitewise.evidence import load_evidence

    return load_evidence(which)


def choose_cohort(frame: pd.DataFrame, asked: str | None, name: str) -> tuple[pd.DataFrame, str]:
    """Return the rows of one cohort of a file, and words that say which.

    Raises
    ------
    StudyError
        When the file holds several and none is chosen, or the one chosen is not there.
    """
    if COHORT not in frame.columns:
        if asked is not None:
            raise StudyError(f"--cohort {asked}: {name} has no column '{COHORT}', it holds one cohort.")
        return frame, ""
    from sitewise.cohort.levels import labels, natural_order

    text = labels(frame[COHORT])
    known = natural_order(text.dropna())
    if asked is None and len(known) > 1:
        raise StudyError(
            f"{name} holds {len(known)} cohorts (column '{COHORT}': {listed(known, 5)}). Name one with --cohort, such as "
            f"--cohort {known[0]}; a covariate of this name has to be renamed."
        )
    if asked is not None and asked not in known:
        raise StudyError(f"--cohort {asked}: {name} has no such cohort. {nearest(asked, known[:10])}")
    if len(known) < 2:
        return frame, ""
    return frame[(text == asked).to_numpy()].reset_index(drop=True), f", cohort {asked}"


def cohort_of(
    frame: pd.DataFrame, study: Study, evidence: Evidence | None, /, *, source: str, toxicities: Sequence[str] = ()
) -> Cohort:
    """Return the patients of a table under a study file, a paper, both or neither.

    Every column that is no outcome and says nothing about where a row comes from can be a covariate. With ``missing`` in the
    study file its covariates must be complete, or their incomplete rows are dropped; without, each table uses who has a value.
    """
    from sitewise.cohort import Cohort, Recode
    from sitewise.models.formula import response_columns
    from sitewise.studies.classical_analysis import ENDPOINT_COLUMNS

    data = dict(study.data)
    if is_imputed(study):  # raw tables impute nothing: each uses who has a value
        del data["missing"]
    names = {"time": "time", "event": "event"}
    group = None
    if "formula" in study.model:
        spec = study.spec()
        names = response_columns(spec.response)
        group = spec.group
        if "entry" in names:
            data.setdefault("entry", names.pop("entry"))
    site = data.get("site", group or ("site" if "site" in frame.columns else None))
    patient = data.get("id", next((name for name in ("patient", "id") if name in frame.columns), None))
    recode = {
        name: Recode(item["column"], {str(level): values for level, values in item["levels"].items()})
        for name, item in data.get("recode", {}).items()
    }
    used = {value for value in data.values() if isinstance(value, str)}
    excluded = {*ENDPOINT_COLUMNS, *PROVENANCE, COHORT, *toxicities} - used
    kept = frame[[name for name in frame.columns if name not in excluded or name == "synthetic"]]
    reference = study.covariates.get("reference", {})
    wanted = covariates_of(study)
    times: dict[str, Any] = {**names, **{role: data[role] for role in ("time", "event", "lower", "upper") if role in data}}
    complete = "missing" in data and wanted is not None
    return Cohort.from_frame(
        kept,
        **times,
        entry=data.get("entry"),
        site=site,
        weights=data.get("weights"),
        id=patient,
        event_level=data.get("event_level"),
        time_unit=data.get("time_unit", evidence.source.time_unit if evidence is not None else "months"),
        covariates=wanted if complete else None,
        recode=recode,
        levels={**_levels(kept, evidence, {*recode, *reference}), **_factor_levels(kept, study, recode)},
        reference=reference,
        missing=data.get("missing", "refuse"),
        zero_times=data.get("zero_times", "refuse"),
        source=data.get("source", source),
    )


def covariates_of(study: Study) -> list[str] | None:
    """Return the covariates that a study file names, in its order; None when it names none.

    Site means are no characteristics of patients and no columns of the table: the covariates stand for them.
    """
    from sitewise.cohort.site_means import is_site_mean

    site_means = study.data.get("site_means", [])
    variables = study.spec().variables if "formula" in study.model else ()
    found = [*(name for name in variables if not is_site_mean(name, site_means)), *site_means]
    tables = ("reference", "levels", "favourable", "unfavourable")
    for name in (*study.data.get("recode", {}), *(name for table in tables for name in study.covariates.get(table, {}))):
        found.append(name)
    return list(dict.fromkeys(found)) or None


def planned(cohort: Cohort, study: Study, evidence: Evidence | None, flags: TablesFlags) -> ClassicalPlan:
    """Return the plan: a paper's characteristics when there is one, else the study's, else every column."""
    from sitewise.studies.classical_analysis import classical_plan

    counted: Literal["favourable", "unfavourable"] = "unfavourable" if study.covariates.get("unfavourable") else "favourable"
    factors: Mapping[str, Any] | None = study.covariates.get(counted)
    if factors is not None:
        factors = {name: levels if isinstance(levels, list) else [levels] for name, levels in factors.items()}
    return classical_plan(
        cohort,
        evidence=evidence,
        covariates=None if evidence is not None else covariates_of(study),
        factors=factors,
        counted=counted,
        times=study.report.get("times", ()),
        compared_by=flags.by,
        entry_p=flags.entry_p,
        ties=flags.ties,
        prob=study.report.get("prob", 0.95),
        seed=flags.seed,
    )


def _levels(frame: pd.DataFrame, evidence: Evidence | None, own: set[str]) -> dict[str, list[str]]:
    """Return levels in the paper's order, those that it does not know last, of columns that the study does not describe."""
    from sitewise.cohort.levels import labels, natural_order

    found = {}
    for item in evidence.categorical if evidence is not None else ():
        if item.name not in frame.columns or item.name in own:
            continue
        present = set(labels(frame[item.name]).dropna())
        unknown = present - set(item.levels)
        if not unknown:
            found[item.name] = list(item.levels)
        elif present & set(item.levels):
            found[item.name] = [*(level for level in item.levels if level in present), *natural_order(unknown)]
    return found


def _factor_levels(frame: pd.DataFrame, study: Study, recode: Mapping[str, Any]) -> dict[str, Any]:
    """Return levels of the study's factors, so that a column of numbers among them is read as categories."""
    from sitewise.cohort.levels import labels, natural_order

    factors = {**study.covariates.get("favourable", {}), **study.covariates.get("unfavourable", {})}
    known = {*recode, *study.covariates.get("reference", {})}
    found = {
        name: natural_order(labels(frame[name]).dropna()) for name in factors if name in frame.columns and name not in known
    }
    return {**found, **study.covariates.get("levels", {})}


def _show(console: Console, tables: ClassicalTables) -> None:
    from sitewise.report.classical_words import cox_cells, data_sentence, notes_of

    if tables.cohort.synthetic:
        console.print("Synthetic data: these patients are not real.", style="bold", soft_wrap=True)
    console.print(data_sentence(tables), soft_wrap=True)
    head, rows = cox_cells(tables)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for position, name in enumerate(head):
        table.add_column(name, justify="left", overflow="fold", no_wrap=position > 1)
    for row in rows:
        table.add_row(*row)
    console.print()
    if rows:
        console.print(table)
        console.print()
    for note in notes_of(tables):
        console.print(f"Note: {note}", soft_wrap=True)
    if tables.published is not None:
        known = tables.published["equal_when_rounded"].dropna()
        console.print(
            f"{int(known.astype(bool).sum())} of {len(known)} published numbers that this table can be held against are equal "
            "when rounded alike (published.csv).",
            soft_wrap=True,
        )
    console.print(NOT_FOR_PATIENTS, soft_wrap=True)
