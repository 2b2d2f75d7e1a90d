"""From the plan of an analysis to the analysis."""

from __future__ import annotations

from typing import Literal, assert_never

from sitewise.problems import TrialError
from sitewise.trial.analysis.analysis import Analysis
from sitewise.trial.analysis.answers import Comparator
from sitewise.trial.analysis.conjugate import Borrows, Conjugate
from sitewise.trial.analysis.cox import Cox
from sitewise.trial.analysis.log_rank import LogRank
from sitewise.trial.plan.analysis import AnalysisPlan


def analysis_of(
    plan: AnalysisPlan,
    *,
    benchmark: Comparator | None = None,
    borrowing: Borrows | None = None,
    borrow_to: Literal["experimental", "control"] = "experimental",
    randomised: bool = True,
) -> Analysis:
    """Return the analysis that a plan describes.

    Parameters
    ----------
    plan : AnalysisPlan
        Method, adjustment and priors.
    benchmark : Comparator, optional
        What a single arm is held against, or an arm borrows.
    borrowing : Borrows, optional
        How an arm borrows the benchmark's cohort; of the conjugate method.
    borrow_to : {"experimental", "control"}
        Which arm.
    randomised : bool
        Whether there is a control arm.

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
                randomised=randomised,
            )
        case "log-rank":
            return LogRank(adjust=plan.adjust, benchmark=benchmark, randomised=randomised)
        case "cox":
            return Cox(adjust=plan.adjust, benchmark=benchmark, randomised=randomised)
        case "hierarchical":
            from sitewise.trial.analysis.hierarchical import Hierarchical

            return Hierarchical(plan)
        case _:
            assert_never(plan.method)
