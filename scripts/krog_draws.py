"""Make the packaged joint draws of KROG 20-04 anew: src/sitewise/trial/library/krog-20-04.nc, and the page beside it.

Run it with ``python scripts/krog_draws.py``; some seven minutes on two cores.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

import sitewise as sw
from sitewise.inference.result import installed_versions
from sitewise.studies.evidence_fit import EvidenceFit
from sitewise.trial.plan.criteria import Criterion
from sitewise.trial.plan.truth import Effect
from sitewise.trial.truth import Truth
from sitewise.trial.truth.true_values import true_value

ID = "krog-20-04"
LIBRARY = Path(__file__).resolve().parents[1] / "src" / "sitewise" / "trial" / "library"
COHORTS, DRAWS, ROWS, SEED = 50, 1000, 1000, 1
TIMES = (12.0, 24.0, 36.0)
PAGE = """# {id}.nc: provenance and licence

{rows} joint draws of what the numbers of one paper imply about its patients' overall survival, as `Truth.save` writes them: log
scale and shape of a Weibull baseline, the spread of sites, and what {profiles} kinds of patients (combinations of
{covariates}) add to the log hazard, with their shares. Risk groups count the paper's
favourable factors, ECOG 0 and Child-Pugh class A.

**They come from synthetic patients, not from the paper's.** The paper publishes no patients. {cohorts} cohorts of 100 synthetic
patients at 5 sites were made that reproduce its counts, Cox tables and Kaplan-Meier numbers
([calibration](../../../../docs/calibration.md)). To each a Weibull model with random sites was fitted
(`{formula}`), with the guarantee time of its own process
({guarantee}). Their draws were stacked with equal weight
([fit of a paper](../../../../docs/fit-evidence.md)), and {rows} of {all} were taken at random. The guarantee time is dropped:
the baseline counts from enrolment. Numbers are rounded to single precision.

All patients of KROG 20-04 had stereotactic ablative radiotherapy (SABR): the draws describe an arm that has it, and are no
control for SABR. A trial that reads them says which of its arms that is.

| | {header} |
|---|{line}
{table}

*Survival at new sites, without the guarantee time: median (95 % interval) of the draws.*

Source of the numbers: Kim TH, Nam TK, Yoon SM, Kim TH, Choi YM, Seong J. Stereotactic Ablative Radiotherapy for Oligometastatic
Hepatocellular Carcinoma: A Multi-Institutional Retrospective Study (KROG 20-04). Cancers 2022;14:5848.
doi 10.3390/cancers14235848. Copyright 2022 by the authors, published under
[CC BY 4.0](https://creativecommons.org/licenses/by/4.0/). Changes: everything above. The draws are under the same licence.

Made by `python scripts/krog_draws.py` on {date}: {cohorts} cohorts, {draws} draws of the nested-Laplace engine each,
seed {seed}; {versions}.
"""


def fitted(cohorts: int = COHORTS) -> EvidenceFit:
    """Return the stacked fits of the paper's reconstructed cohorts."""
    engine = sw.NestedLaplace(draws=DRAWS)
    return sw.fit_evidence(sw.load_evidence(ID), cohorts=cohorts, engine=engine, seed=SEED, report=print)


def joint_draws(fit: EvidenceFit, rows: int = ROWS) -> Truth:
    """Return the joint draws in single precision; arm and effect are not saved, and are of no matter here."""
    truth = Truth.from_posterior(fit, cohort_arm="control", effect=Effect(1.0), rows=rows, seed=SEED)
    truth = replace(truth, source=f"{truth.source} (synthetic patients; Cancers 2022;14:5848, CC BY 4.0)")

    def single(values: np.ndarray) -> np.ndarray:
        return values.astype(np.float32).astype(np.float64)

    return replace(
        truth,
        shape=tuple(single(item) for item in truth.shape),
        log_scale=single(truth.log_scale),
        index=single(truth.index),
        site_sd=single(truth.site_sd),
    )


def page(fit: EvidenceFit, truth: Truth) -> str:
    """Return the provenance page."""
    table = []
    for group in (*truth.groups, "all"):
        cells = []
        for time in TIMES:
            criterion = Criterion("survival", "survival", above=0.5, at=time, group=group)
            low, middle, high = np.nanquantile(true_value(truth, criterion, arm="control"), [0.025, 0.5, 0.975])
            cells.append(f"{middle:.2f} ({low:.2f} to {high:.2f})")
        table.append(f"| {group} | {' | '.join(cells)} |")
    times = [member.guarantee_time for member in fit.in_stack]
    versions = installed_versions()
    wanted = ("sitewise", "python", "numpy", "scipy", "numba", "xarray")
    sizes = fit.posterior.sizes
    return PAGE.format(
        id=ID,
        rows=truth.rows,
        profiles=len(truth.profiles),
        covariates=", ".join(fit.suggested.covariates),
        cohorts=len(fit.in_stack),
        formula=fit.spec.formula,
        guarantee=f"{min(times):.1f} to {max(times):.1f} months",
        all=sizes["cohort"] * sizes["chain"] * sizes["draw"],
        header=" | ".join(f"{time:g} months" for time in TIMES),
        line="---|" * len(TIMES),
        table="\n".join(table),
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        draws=DRAWS,
        seed=SEED,
        versions=", ".join(f"{name} {versions[name]}" for name in wanted),
    )


def main() -> None:
    """Fit, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=LIBRARY, help="folder to write to")
    parser.add_argument("--cohorts", type=int, default=COHORTS, help="cohorts that are reconstructed")
    chosen = parser.parse_args()
    fit = fitted(chosen.cohorts)
    truth = joint_draws(fit)
    path = truth.save(chosen.out / f"{ID}.nc")
    (chosen.out / f"{ID}.md").write_text(page(fit, truth), encoding="utf-8")
    print(f"{path}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
