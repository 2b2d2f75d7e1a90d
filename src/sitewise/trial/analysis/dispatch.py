"""From the plan of an analysis to the analysis."""

from __future__ import annotations

from typing import Literal, assert_never

from sitewise.problems import TrialError
from sitewise.trial.analysis.analysis import Analysis
from sitewise.trial.analysis.conjugate import Borrows, Conjugate
from sitewise.trial.analysis.cox import Cox
from sitewise.trial.analysis.log_rank import LogRank
from sitewise.trial.plan.analysis import AnalysisPlan
from sitewise.trial.truth.benchmark import Benchmark


def analysis_of(
    plan: AnalysisPlan,
    /,
    *,
    randomised: bool,
    groups: tuple[str, ...],
    sites: int,
    time_unit: str = "months",
    benchmark: Benchmark | None = None,
    borrowing: Borrows | None = None,
    borrow_to: Literal["experimental", "control"] = "experimental",
    history: Benchmark | None = None,
) -> Analysis:
    """Return the analysis that a plan describes.

    Parameters
    ----------
    plan : AnalysisPlan
        Method, adjustment and priors.
    randomised : bool
        Whether there is a control arm.
    groups : tuple of str
        Risk groups, the reference first, as in the snapshots; of the hierarchical method, like the following two.
    sites : int
        Number of sites.
    time_unit : str
        Unit of the times.
    benchmark : Benchmark, optional
        What a single arm is held against.
    borrowing : Borrows, optional
        How an arm borrows a cohort; of the conjugate method.
    borrow_to : {"experimental", "control"}
        Which arm.
    history : Benchmark, optional
        The cohort that it borrows; absent: the benchmark.

    Raises
    ------
    TrialError
        When the method cannot borrow.
    """
    if borrowing is not None and plan.method != "conjugate":
        raise TrialError(f"Borrowing needs analysis method = 'conjugate'; it is '{plan.method}'.")
    match plan.method:
        case "conjugate":
            return Conjugate(
                adjust=plan.adjust,
                treatment=plan.treatment,
                benchmark=benchmark,
                borrowing=borrowing,
                borrow_to=borrow_to,
                history=history,
                randomised=randomised,
                estimate=plan.estimate,
            )
        case "log-rank":
            return LogRank(adjust=plan.adjust, benchmark=benchmark, randomised=randomised)
        case "cox":
            return Cox(adjust=plan.adjust, benchmark=benchmark, randomised=randomised)
        case "hierarchical":
            from sitewise.trial.analysis.hierarchical import Hierarchical

            return Hierarchical(
                plan, randomised=randomised, groups=groups, sites=sites, time_unit=time_unit, benchmark=benchmark
            )
        case _:
            assert_never(plan.method)
