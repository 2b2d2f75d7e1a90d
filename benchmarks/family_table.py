"""What if it is not Weibull? Every family on three real multi-centre cohorts; ``make verify`` runs it.

The lung cohort (18 institutions), carcinoma of the oropharynx (6 institutions) and adult acute myeloid leukaemia in the north-west of
England (24 districts; SurvSet's ``d.oropha.rec`` and ``LeukSurv``): the same covariates and random site intercepts under each family,
default priors, compared by leaving patients out (PSIS-LOO), with stacking weights; medians and restricted means of groups beside.
Writes ``benchmarks/results/family_table.{csv,md}``.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import pandas as pd
from provenance import provenance
from pseudo_paper_data import DAYS_A_MONTH, lung, oropharynx, survset
from pseudo_papers import markdown

import sitewise as sw

RESULTS = Path(__file__).parent / "results"


def leukaemia() -> pd.DataFrame:
    """Acute myeloid leukaemia in adults, 1982-1998 (Henderson, Shimakura & Gorst 2002, J Am Stat Assoc 97:965)."""
    raw = survset("LeukSurv")
    return pd.DataFrame(
        {
            "time": raw["time"] / DAYS_A_MONTH,
            "event": raw["event"],
            "site": raw["district"],
            "sex": raw["sex"].astype(str),
            "age": raw["age"],
            "white_cells": raw["wbc"],
            "deprivation": raw["tpi"],
        }
    )


@dataclass(frozen=True)
class DataSet:
    """A cohort, its model's right side, and what its groups are."""

    name: str
    read: Callable[[], pd.DataFrame]
    terms: str
    group: str
    horizon: float


SETS = (
    DataSet("lung", lung, "ecog + age + sex", "ecog", 24.0),
    DataSet("oropharynx", oropharynx, "condition + tumour + age", "condition", 24.0),
    DataSet("leukaemia", leukaemia, "sex + age + white_cells + deprivation", "sex", 24.0),
)


SIX = (sw.Weibull(), sw.Exponential(), sw.Gompertz(), sw.LogNormal(), sw.LogLogistic(), sw.MSpline())


def timed(spec: sw.ModelSpec, cohort: sw.Cohort) -> str:
    """Return how long six families take, and leaving each of 20 sites out by the fast engine, everything compiled before."""
    started = time.perf_counter()
    sw.compare_families(spec, cohort, families=SIX)
    six = time.perf_counter() - started
    table = cohort.frame.assign(twenty=[f"s{place % 20:02d}" for place in range(len(cohort))])
    spread = sw.Cohort.from_frame(
        table, time="time", event="event", site="twenty", covariates=["ecog", "age", "sex"], time_unit="months"
    )
    fitted = sw.fit(replace(spec, group=None), spread, engine=sw.NestedLaplace(), seed=1)
    started = time.perf_counter()
    sw.leave_one_site_out(fitted)
    left_out = time.perf_counter() - started
    return (
        f"Six families ({', '.join(family.name for family in SIX)}) on these patients: {six:.0f} s (bar 60). Leaving each of 20 "
        f"sites out, patients dealt over them, by the fast engine: {left_out:.2f} s (bar 2)."
    )


def main() -> int:
    """Compare the families on every data set and write the tables."""
    argparse.ArgumentParser(description=__doc__.split("\n")[0]).parse_args()
    lines = [
        "# Families on real multi-centre cohorts\n",
        __doc__.strip() + "\n",
        provenance("python benchmarks/family_table.py") + "\n",
    ]
    parts = []
    for item in SETS:
        table = item.read().dropna().reset_index(drop=True)
        covariates = [name for name in table.columns if name not in ("time", "event", "site")]
        cohort = sw.Cohort.from_frame(
            table, time="time", event="event", site="site", covariates=covariates, time_unit="months", zero_times=0.5
        )
        spec = sw.ModelSpec.from_formula(f"Surv(time, event) ~ {item.terms} + (1 | site)")
        started = time.perf_counter()
        found = sw.compare_families(
            spec, cohort, groups=sw.RiskGroups.default(cohort, [item.group]), rmst_horizon=item.horizon, report=print
        )
        seconds = time.perf_counter() - started
        sites = len(cohort.site_labels)
        lines += [f"## {item.name}: {len(cohort)} patients, {int(cohort.event.sum())} events, {sites} sites\n"]
        lines += [f"`{item.terms} + (1 | site)`; {seconds:.0f} s on two cores. {found.sentence}\n"]
        shown = found.table.rename(columns=lambda name: name.replace("_", " "))
        formats = dict.fromkeys(["elpd", "se", "difference", "difference se", "effective parameters"], ".1f")
        lines += [*markdown(shown, {**formats, "weight": ".2f", "worst pareto k": ".2f"}), ""]
        answers = found.groups.assign(
            answer=[f"{row.median:.1f} ({row.lower:.1f}, {row.upper:.1f})" for row in found.groups.itertuples()],
            column=[f"{row.estimand.replace('_', ' ')}, {row.group}" for row in found.groups.itertuples()],
        )
        wide = answers.pivot(index="family", columns="column", values="answer")
        order = [*found.table["family"], "stacked"]
        lines += [*markdown(wide.loc[order].reset_index(), {}), ""]
        parts.append(found.table.assign(data_set=item.name, seconds=round(seconds, 1)))
        if item.name == "lung":
            lines += [timed(spec, cohort), ""]
    lines.append(
        f"Median survival and restricted mean to {SETS[0].horizon:g} months in months: posterior median and 95 % interval, members at their own sites."
    )
    RESULTS.mkdir(exist_ok=True)
    pd.concat(parts).to_csv(RESULTS / "family_table.csv", index=False, float_format="%.6g")
    text = "\n".join(lines) + "\n"
    print(text)
    (RESULTS / "family_table.md").write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
