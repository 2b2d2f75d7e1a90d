"""The three products of a calibration, as cohorts: plug-in, replicate, reconstruct.

plug_in      one fixed truth (the calibrated process) and cohorts of it: for tests that need a known answer
replicate    new cohorts, each of a process drawn from the posterior: they carry the uncertainty of the published numbers
reconstruct  cohorts that could be the paper's own: their Cox tables, Kaplan-Meier figures and follow-up are the printed ones

Nothing here is a patient. Every row says so, and carries the evidence's hash, the seed and the number of its parameter draw.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sitewise.cohort import Cohort
from sitewise.cohort.synthetic import SYNTHETIC
from sitewise.evidence import evidence_hash
from sitewise.problems import ScenarioError
from sitewise.simulate.calibration.generate import Cohorts
from sitewise.simulate.calibration.natural import NOT_IDENTIFIED, natural
from sitewise.simulate.calibration.problem import Problem
from sitewise.simulate.covariates import labelled
from sitewise.simulate.parts import Floats

if TYPE_CHECKING:
    from sitewise.simulate.progression.arrays import ProgressionArrays

Product = Literal["plug_in", "replicate", "reconstruct"]
SENTENCES = {
    "plug_in": "simulated from one fixed process calibrated to {id}",
    "replicate": "simulated from a process drawn from the posterior given the numbers of {id}",
    "reconstruct": "made so that its tables equal those of {id}",
}


@dataclass(frozen=True, eq=False)
class Produced:
    """Synthetic cohorts of a paper.

    Parameters
    ----------
    product : str
        ``plug_in``, ``replicate`` or ``reconstruct``.
    problem : Problem
        The paper and the assumptions.
    cohorts : Cohorts
        R cohorts of n patients.
    theta : ndarray, shape (R, p)
        The parameters each was simulated from (or begun at).
    draw : ndarray of int, shape (R,)
        Number of the posterior draw; 0 for the plug-in.
    seed : int
        Seed.
    statistics : ndarray, shape (R, K)
        Of each cohort, in the order of the problem's targets.
    progression : ProgressionArrays, optional
        Progression and failures, where they were added.
    calibration : mapping, optional
        What made the posterior that ``draw`` numbers, such as its seed, method and pool size; None where it is not known.
    """

    product: Product
    problem: Problem
    cohorts: Cohorts
    theta: Floats
    draw: NDArray[np.intp]
    seed: int
    statistics: Floats
    progression: ProgressionArrays | None = None
    calibration: Mapping[str, Any] | None = None

    def __len__(self) -> int:
        return len(self.cohorts)

    def table(self, position: int) -> pd.DataFrame:
        """Return one cohort: cohort, patient, site, time, event, progression if added, characteristics, then its origin."""
        structure, cohorts = self.problem.structure, self.cohorts
        labels = [f"site {number + 1}" for number in range(self.problem.sites)]
        columns: dict[str, Any] = {
            "cohort": position,
            "patient": np.arange(1, structure.patients + 1),
            "site": labelled(cohorts.site[position], labels),
            "time": cohorts.time[position],
            "event": cohorts.event[position].astype(np.int8),
        }
        if self.progression is not None:
            columns |= self.progression.columns(position)
        for item in structure.factors:
            columns[item.name] = labelled(cohorts.factors[item.name][position], item.levels)
        columns |= {item.name: cohorts.measures[item.name][position] for item in structure.measures}
        columns |= {
            "product": self.product,
            "evidence": self.problem.evidence.id,
            "evidence_hash": evidence_hash(self.problem.evidence)[:16],
            "seed": self.seed,
            "draw": int(self.draw[position]),
        }
        return pd.DataFrame({**columns, SYNTHETIC: True})

    def frame(self) -> pd.DataFrame:
        """Return all cohorts below one another."""
        return pd.concat([self.table(position) for position in range(len(self))], ignore_index=True)

    def cohort(self, position: int) -> Cohort:
        """Return one cohort, validated like any patient table.

        Raises
        ------
        CohortError
            When it cannot be analysed, such as one without events.
        """
        structure, evidence = self.problem.structure, self.problem.evidence
        made = SENTENCES[self.product].format(id=evidence.id)
        names = [*(item.name for item in structure.factors), *(item.name for item in structure.measures)]
        columns = ["patient", "site", "time", "event", *names, SYNTHETIC]
        return Cohort.from_frame(
            self.table(position)[columns],
            time="time",
            event="event",
            site="site",
            id="patient",
            covariates=names,
            time_unit=evidence.source.time_unit,
            levels={item.name: item.levels for item in structure.factors},
            source=f"one synthetic cohort {made} (seed {self.seed}, cohort {position}): not real patients",
        )

    def parameters(self) -> pd.DataFrame:
        """Return the parameters of each cohort in readers' units: a row a cohort, ``cohort`` and ``draw`` first."""
        return pd.DataFrame({"cohort": np.arange(len(self)), "draw": self.draw, **natural(self.problem, self.theta)})

    def misses(self) -> pd.DataFrame:
        """Return every fitted number that a cohort does not reproduce to the decimals printed.

        Returns
        -------
        DataFrame
            ``cohort, target, printed, published, found, off``: ``found`` is the statistic at the printed number itself, ``off``
            how far it is from any that would be printed so. For a median that is by how much the curve stays above a half at
            the end of the rounding box, or has fallen below it at the beginning.
        """
        ends = [self.problem.statistics(self.cohorts, np.full(self.statistics.shape, end)) for end in (-1.0, 1.0)]
        # Those of new cohorts are read at a random place of each box; what is asked here is what the cohort itself has.
        middle = self.problem.statistics(self.cohorts)
        rows = []
        for place, target in enumerate(self.problem.targets):
            if target.status not in ("fit", "soft"):
                continue
            published = float(self.problem.published[place])
            for position in range(len(self)):
                found = float(middle[position, place])
                if target.inequality:
                    off = max(target.value - found, 0.0)
                elif target.rounds_time:
                    first, last = (float(end[position, place]) for end in ends)
                    off = max(published - first, last - published, 0.0)
                    if target.kind != "follow_up_share" and first <= published + 1e-9 and off <= 1e-9:
                        off = 1 / self.problem.structure.patients  # at a half already before the box begins
                else:
                    off = max(abs(found - published) - target.rounding, 0.0)
                if not off <= 1e-9:
                    rows.append((position, target.id, target.printed, published, found, off))
        return pd.DataFrame(rows, columns=["cohort", "target", "printed", "published", "found", "off"])

    def save(self, path: str | Path, /) -> list[Path]:
        """Write the cohorts (.csv or .parquet), and hash, seed and parameter draws beside (.json); return both paths."""
        path = Path(path)
        if path.suffix.lower() not in (".csv", ".parquet"):
            raise ScenarioError(f"{path} must end in .csv or .parquet.")
        path.parent.mkdir(parents=True, exist_ok=True)
        table = self.frame()
        if path.suffix.lower() == ".csv":
            table.to_csv(path, index=False)
        else:
            table.to_parquet(path, index=False)
        beside = path.with_suffix(".json")
        content: dict[str, Any] = {
            "product": self.product,
            "synthetic": True,
            "evidence": self.problem.evidence.id,
            "evidence_hash": evidence_hash(self.problem.evidence),
            "assumptions": self.problem.assumptions.to_dict(),
            "not_identified": NOT_IDENTIFIED,
            "seed": self.seed,
            # A draw is one of the calibration's own: its number means nothing without what made them.
            "calibration": None if self.calibration is None else dict(self.calibration),
            "sitewise": metadata.version("sitewise"),
            "draws": json.loads(self.parameters().to_json(orient="records")),
        }
        if self.progression is not None:
            content["progression"] = json.loads(self.progression.parameters().to_json(orient="records"))
        beside.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        return [path, beside]
