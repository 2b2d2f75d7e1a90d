"""Kinds of first failure: how many patients had which, and how they are given to simulated failures.

A paper counts kinds (distant 69, local 16) and patients with a failure (84). Where the kinds sum to more, either some patients
had two at once or a count is off; where they sum to less, some failures are of no kind that is named. Which patient has which
kind depends on nothing: no paper's summary says on what it could.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from sitewise.evidence import Evidence
from sitewise.evidence.entries import Status
from sitewise.evidence.entries_of_counts import Count, Failures
from sitewise.problems import EvidenceError, Problems
from sitewise.simulate.covariates import site_counts
from sitewise.simulate.parts import Floats

Overlap = Literal["both", "miscount"]
OTHER = "other"
NONE = "none"
UNSEEN = 0.5
"""Of each label in the Dirichlet prior of the shares: Jeffreys' prior."""


@dataclass(frozen=True)
class Kinds:
    """First failures by label.

    Parameters
    ----------
    labels : tuple of str
        Kinds, then pairs of kinds that one patient had at once, then ``other``; those that nobody had are left out.
    counts : tuple of float
        Patients of each label; whole numbers unless more than two kinds overlap or one was miscounted.
    total : int
        Patients with a failure.
    status : str
        How the total is used.
    id, where, printed : str
        Of the count of failures.
    """

    labels: tuple[str, ...]
    counts: tuple[float, ...]
    total: int
    status: Status
    id: str
    where: str
    printed: str

    @classmethod
    def of(cls, evidence: Evidence, /, *, endpoint: str = "pfs", overlap: Overlap = "both") -> Self | None:
        """Return the pattern of first failures of an endpoint, None where the paper prints none.

        Parameters
        ----------
        evidence : Evidence
            The paper.
        endpoint : str
            Whose events are these failures or death.
        overlap : {"both", "miscount"}
            How kinds that sum to more than the failures are read: patients with two kinds at once, or shares of a miscounted
            sum.

        Raises
        ------
        EvidenceError
            When kinds and total cannot be of the same patients.
        """
        entries = [item for item in evidence.failures if item.endpoint == endpoint and item.status != "conflict"]
        if not entries:
            return None
        entry, problems = entries[0], Problems()
        counts = {item.id: item for item in evidence.count}
        total = _patients(counts, entry.total, evidence, problems)
        named = {label: _patients(counts, name, evidence, problems) for label, name in entry.kinds.items()}
        more = ", ".join(f"{label}: {count}" for label, count in named.items() if count > total)
        if not problems.found and more:
            what = f"has a kind with more patients than the {total} with a failure ({more})"
            problems.add(f"failures ({entry.id})", what, "Check the counts that it names.")
        problems.raise_if_any(EvidenceError, evidence.id)
        composition = _composition(named, total, overlap, entry, problems)
        problems.raise_if_any(EvidenceError, evidence.id)
        used = {label: count for label, count in composition.items() if count > 0}
        source = counts[entry.total]
        return cls(
            tuple(used),
            tuple(used.values()),
            total,
            _weaker(source.status, entry.status),
            source.id,
            source.where,
            f"{total} failures",
        )

    def shares(self, stream: np.random.Generator, rows: int, *, certain: bool) -> Floats:
        """Return the share of each label, shape (rows, L): as counted, or drawn given the counts (Dirichlet)."""
        counts = np.asarray(self.counts)
        if certain:
            return np.broadcast_to(counts / counts.sum(), (rows, counts.size)).copy()
        return stream.dirichlet(counts + UNSEEN, size=rows)

    def drawn(self, stream: np.random.Generator, failure: NDArray[np.bool_], shares: Floats) -> NDArray[np.int8]:
        """Return 0 for none, else the number of the label from 1, drawn for each failure; shape (R, n)."""
        ends = np.cumsum(shares, axis=1)[:, None, :-1]
        label = 1 + (stream.random(failure.shape)[..., None] > ends).sum(axis=2)
        return np.where(failure, label, 0).astype(np.int8)

    def dealt(self, stream: np.random.Generator, failure: NDArray[np.bool_]) -> NDArray[np.int8]:
        """Return labels as :meth:`drawn` does, dealt out in the printed counts to as many failures as there are."""
        found = np.zeros(failure.shape, dtype=np.int8)
        shares = np.asarray(self.counts) / sum(self.counts)
        for row, own in enumerate(failure):
            sizes = site_counts(shares, int(own.sum()))
            found[row, own] = stream.permutation(np.repeat(np.arange(1, len(sizes) + 1), sizes))
        return found

    def tally(self, codes: NDArray[np.int8]) -> NDArray[np.int64]:
        """Return how many patients have each label, shape (R, L)."""
        return np.stack([(codes == number).sum(axis=1) for number in range(1, len(self.labels) + 1)], axis=1)


def _patients(counts: dict[str, Count], name: str, evidence: Evidence, problems: Problems) -> int:
    item = counts.get(name)
    if item is None:
        problems.add(f"count ({name})", "is named by the pattern of failures and does not exist")
        return 0
    if item.count is not None:
        return item.count
    of = evidence.source.patients if item.of == "patients" else _patients(counts, item.of, evidence, problems)
    if item.percent is None:
        problems.add(f"count ({name})", "has neither a count nor a percentage")
        return 0
    return round(of * item.percent / 100)


def _weaker(*statuses: Status) -> Status:
    order: tuple[Status, ...] = ("fit", "soft", "held_out", "conflict")
    return max(statuses, key=order.index)


def _composition(named: dict[str, int], total: int, overlap: Overlap, entry: Failures, problems: Problems) -> dict[str, float]:
    """Return patients by label so that they sum to the failures, or note why they cannot.

    Of two kinds the number with both is known. Of more only the sum is: then each patient is taken to have two at most, and
    pairs in proportion to the product of the kinds' counts.
    """
    excess = sum(named.values()) - total
    if excess <= 0:
        return {**named, OTHER: -excess}
    if overlap == "miscount":
        return {label: count * total / (total + excess) for label, count in named.items()}
    pairs = list(itertools.combinations(named, 2))
    weight = np.array([float(named[one] * named[other]) for one, other in pairs])
    alone = {label: float(count) for label, count in named.items()}
    together = {}
    for (one, other), share in zip(pairs, weight / weight.sum(), strict=True):
        together[f"{one} and {other}"] = excess * share
        alone[one] -= excess * share
        alone[other] -= excess * share
    short = [label for label, count in alone.items() if count < -1e-9]
    if short:
        problems.add(
            f"failures ({entry.id})",
            f"the kinds sum to {total + excess}, the failures to {total}: patients would have had more than two kinds at once "
            f"({', '.join(short)})",
            "Count combinations as kinds of their own, or read the excess as a miscount (overlap of the progression model).",
        )
    return {**alone, **together}
