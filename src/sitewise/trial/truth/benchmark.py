"""`Benchmark`: what a single arm is held against: a cohort's own curve, with its uncertainty or treated as known."""

from __future__ import annotations

from dataclasses import dataclass

from sitewise.trial.truth.truth import Truth


@dataclass(frozen=True, eq=False)
class Benchmark:
    """The cohort behind a comparison with one arm.

    Parameters
    ----------
    cohort : Truth
        Joint draws of the cohort's survival; its effect is not used.
    known : bool
        Whether the benchmark is treated as known: its uncertainty is ignored, which inflates the type I error.
    """

    cohort: Truth
    known: bool = False
