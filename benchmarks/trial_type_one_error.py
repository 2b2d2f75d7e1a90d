"""Type I error of the worked trials, with a standard error of at most .001. Run by ``make verify``; takes some 45 minutes.

Each worked trial is run without an effect (or with hazards at the bar), under a spread of sites of 0, .25 and .5, with the thresholds
of its file; calibrated ones come from the file's own number of trials and another seed. Success is counted whatever the futility
rule says (which is non-binding), and beside it as the rule stops trials. Then the single arm with its benchmark treated as known, by
the conjugate analysis, which is fast enough: the level must be above the nominal one there. Trials are added until the standard
error is reached. Writes ``benchmarks/results/trial_type_one_error.{csv,md}``.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # the threads of the campaign are the parallelism

import numpy as np
import pandas as pd
from provenance import provenance
from pseudo_papers import markdown

from sitewise.trial.assessment import analysis_for
from sitewise.trial.campaign import run_campaign, worlds_of
from sitewise.trial.campaign.worlds import World
from sitewise.trial.library import PACKAGED, trial_path
from sitewise.trial.operating import Outcome, decide
from sitewise.trial.operating.calibrated import null_probabilities, thresholds_for
from sitewise.trial.plan.design import TrialDesign, read_design
from sitewise.trial.sources import cohorts_of

RESULTS = Path(__file__).parent / "results"
SPREADS = (0.0, 0.25, 0.5)
LARGEST_ERROR = 0.001
FIRST, SEED = 10_000, 20_261_129
ROOM = 1.05
"""Trials beyond what the standard error needs by the first ones."""
VARIANTS: dict[str, tuple[str, dict[str, object]]] = {
    **{name: (name, {}) for name in PACKAGED},
    "krog-single-arm, conjugate": ("krog-single-arm", {"analysis.method": "conjugate"}),
    "krog-single-arm, conjugate, benchmark treated as known": (
        "krog-single-arm",
        {"analysis.method": "conjugate", "benchmark.known": True},
    ),
}


def nulls(design: TrialDesign) -> TrialDesign:
    """Return the design with three nulls as its scenarios, one a spread of sites."""
    success = next(item for item in design.criterion if item.role == "success")
    what = {"hazard_ratio": 1.0} if success.estimand == "hazard_ratio" else {"at_bound": success.name}
    rows = [{"name": f"site sd {spread:g}", "null": True, "site_sd": spread, **what} for spread in SPREADS]
    return design.changed({"scenario": rows})


def rates_of(design: TrialDesign, world: World, analysis, thresholds, *, trials: int, workers: int, folder: Path) -> dict:  # type: ignore[no-untyped-def]
    """Return successes of a world's trials, with non-binding and with binding futility."""
    found = run_campaign(
        design, [world], analysis=analysis, trials=trials, seed=SEED, workers=workers, folder=folder / str(trials)
    )
    name = next(item.name for item in design.criterion if item.role == "success")
    place = [item.name for item in design.criterion].index(name)
    own = null_probabilities(found, name, thresholds)[0]
    with np.errstate(invalid="ignore"):
        success = (own > thresholds[:, place]).any(axis=-1)
    obeyed = decide(found, thresholds=thresholds).outcome[0]
    return {
        "success": success,
        "obeyed": obeyed == Outcome.SUCCESS,
        "failed": int((obeyed == Outcome.FAILED).sum()),
    }


def measured(label: str, *, workers: int, folder: Path, largest: float) -> list[dict[str, object]]:
    """Return the rows of one worked trial."""
    name, changes = VARIANTS[label]
    planned = read_design(trial_path(name)).changed(changes) if changes else read_design(trial_path(name))
    cohorts = cohorts_of(planned)
    analysis = analysis_for(planned, cohorts)
    if planned.calibration is not None:
        worlds = worlds_of(planned, cohorts.truth, benchmark=cohorts.benchmark)
        size, seed = planned.simulation.trials, planned.simulation.seed
        thresholds = thresholds_for(
            run_campaign(planned, worlds, analysis=analysis, trials=size, seed=seed, workers=workers)
        ).values
        nominal = planned.calibration.alpha
    else:
        from sitewise.trial.operating import thresholds_of

        thresholds = thresholds_of(planned)
        nominal = 1 - next(item.probability for item in planned.criterion if item.role == "success")
    design = nulls(planned)
    rows = []
    for world in worlds_of(design, cohorts.truth, benchmark=cohorts.benchmark):
        if not world.null:
            continue
        started, trials = time.perf_counter(), FIRST
        place = folder / label.replace(" ", "_").replace(",", "") / world.name.replace(" ", "_")
        while True:
            found = rates_of(design, world, analysis, thresholds, trials=trials, workers=workers, folder=place)
            share = float(found["success"].mean())
            error = math.sqrt(share * (1 - share) / trials)
            if error <= largest:
                break
            trials = math.ceil(ROOM * share * (1 - share) / largest**2)
        obeyed = float(found["obeyed"].mean())
        rows.append(
            {
                "design": label,
                "scenario": world.name,
                "nominal": round(nominal, 4),
                "type_one_error": share,
                "standard_error": error,
                "with_futility": obeyed,
                "trials": trials,
                "failed": found["failed"],
                "seconds": time.perf_counter() - started,
            }
        )
        print(rows[-1], flush=True)
    return rows


def main() -> int:
    """Measure, write, and exit with 1 where a benchmark treated as known shows no inflation or an error is too large."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", nargs="*", default=list(VARIANTS), help="designs")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--largest-error", type=float, default=LARGEST_ERROR)
    parser.add_argument("--keep", type=Path, default=None, help="folder of finished blocks, to go on after an interruption")
    asked = parser.parse_args()
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        folder = asked.keep if asked.keep is not None else Path(scratch)
        rows = [
            row
            for label in asked.only
            for row in measured(label, workers=asked.workers, folder=folder, largest=asked.largest_error)
        ]
    table = pd.DataFrame(rows)
    known = table[table["design"].str.endswith("known")]
    inflated = bool((known["type_one_error"] > known["nominal"] + 5 * known["standard_error"]).all()) if len(known) else True
    precise = bool((table["standard_error"] <= asked.largest_error).all())
    command = "python " + " ".join(
        ["benchmarks/trial_type_one_error.py", *(["--only", *asked.only] if len(asked.only) < len(VARIANTS) else [])]
    )
    shown = table.drop(columns="seconds")
    formats = {"type_one_error": ".4f", "standard_error": ".5f", "with_futility": ".4f", "nominal": "g"}
    lines = [
        "# Type I error of the worked trials\n",
        __doc__.split("\n\n", 1)[1].strip() + "\n",
        f"{provenance(command)} {(time.perf_counter() - started) / 60:.0f} minutes with {asked.workers} threads.\n",
        *markdown(shown, formats),
        f"\nStandard errors at most {asked.largest_error:g}: {'yes' if precise else 'no'}. "
        f"Inflation shown where the benchmark is treated as known: {'yes' if inflated else 'no'}.",
    ]
    text = "\n".join(lines) + "\n"
    print(text)
    table.to_csv(RESULTS / "trial_type_one_error.csv", index=False, float_format="%.6g")
    (RESULTS / "trial_type_one_error.md").write_text(text, encoding="utf-8")
    return 0 if precise and inflated else 1


if __name__ == "__main__":
    sys.exit(main())
