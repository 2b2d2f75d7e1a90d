"""Which prior each coefficient has: its own, its term's, the user's for all, or the default; alone or jointly with others."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sitewise.models.design import Design
from sitewise.models.joint_priors import JointPrior, Law
from sitewise.models.prior import Prior
from sitewise.models.shrinkage import R2D2, RegularisedHorseshoe
from sitewise.models.spec import ModelSpec
from sitewise.models.term_laws import Exchangeable, Monotone
from sitewise.models.transforms import is_monotone
from sitewise.names import HAZARD_RATIO
from sitewise.problems import Problems, SpecError

Floats = NDArray[np.float64]
DEFAULT_COEFFICIENT_SD = 1.0


def coefficient_priors(spec: ModelSpec, design: Design, *, events: float) -> tuple[Prior | JointPrior, ...]:
    """Return what the coefficient of each design column has as prior; columns of one joint prior have the same object.

    The default is Normal(0, 1) per sd of the column, and as it is on a column of zeros and ones; of a monotone effect, on its
    total.

    Parameters
    ----------
    spec : ModelSpec
        Whose priors are asked.
    design : Design
        Of the cohort that it is resolved on.
    events : float
        Weighted number of events of that cohort.

    Raises
    ------
    SpecError
        Naming every joint prior that does not suit its columns, or the model.
    """
    problems = Problems()
    owners, common = design.term_of_column, spec.priors.coefficients
    of_term = {term: _of_term(spec, design, term, problems) for term in dict.fromkeys(owners)}
    chosen = [
        _of_column(spec, column, of_term[term], problems) or common for column, term in zip(design.columns, owners, strict=True)
    ]
    if isinstance(common, Law):
        _check_common(spec, common, chosen.count(common), problems)
    problems.raise_if_any(SpecError, "The spec")
    together: dict[tuple[Law, str], list[int]] = {}
    result: dict[int, Prior | JointPrior] = {}
    for place, (item, term) in enumerate(zip(chosen, owners, strict=True)):
        if isinstance(item, Law):
            together.setdefault((item, "" if item is common else term), []).append(place)
        else:
            sigma = DEFAULT_COEFFICIENT_SD / unit(design.matrix[:, place])
            result[place] = item or Prior("Normal", mu=0.0, sigma=sigma)
    for (law, term), places in together.items():
        result |= dict.fromkeys(places, _joint(design, law, places, events, term))
    return tuple(result[place] for place in range(len(chosen)))


def unit(values: Floats) -> float:
    """Return what a default prior counts as one unit of a column: its sd, or one for zeros and ones."""
    return 1.0 if bool(np.isin(values, (0.0, 1.0)).all()) else float(values.std(ddof=1))


def _of_term(spec: ModelSpec, design: Design, term: str, problems: Problems) -> Prior | Law | None:
    """Return the prior of a term as a whole: the user's, or that of a monotone effect; None where there is none."""
    own = spec.priors.terms.get(term)
    columns = [column for column, owner in zip(design.columns, design.term_of_column, strict=True) if owner == term]
    where, steps = f"prior '{term}'", "the steps of a monotone effect have a joint prior"
    if is_monotone(term):
        if term in spec.slopes:
            problems.add(
                f"term '{term}'", "has a random slope, which would not go one way at each site", "Leave the slope out."
            )
        if isinstance(own, Exchangeable):
            problems.add(where, f"is Exchangeable, but {steps}", "Use Monotone(total=...).")
            return None
        _refuse_columns(spec, term, columns, steps, problems)
        if own is None:
            common = spec.priors.coefficients
            own = common if isinstance(common, Prior) else Prior("Normal", mu=0.0, sigma=DEFAULT_COEFFICIENT_SD)
        law = own if isinstance(own, Monotone) else Monotone(total=own)
        return law if len(columns) > 1 else law.total
    if isinstance(own, Monotone):
        problems.add(where, f"is Monotone, but '{term}' is not", f"Write mo({term}) in the formula.")
    elif isinstance(own, Exchangeable):
        _refuse_columns(spec, term, columns, "its coefficients are exchangeable", problems)
        if len(columns) < 2:
            problems.add(where, "is Exchangeable, but the term has one coefficient", "Give it a prior of its own.")
    return own


def _of_column(spec: ModelSpec, column: str, of_term: Prior | Law | None, problems: Problems) -> Prior | Law | None:
    """Return the prior of a column: its own where its term has no law, else its term's."""
    own = spec.priors.terms.get(column)
    if own is None or own is of_term or isinstance(of_term, Law):
        return of_term
    if isinstance(own, Law):
        problems.add(f"prior '{column}'", f"is {own}, which is of {own.suits}, not of one coefficient", "Give it to the term.")
        return of_term
    return own


def _refuse_columns(spec: ModelSpec, term: str, columns: list[str], why: str, problems: Problems) -> None:
    single = [column for column in columns if column in spec.priors.terms and column != term]
    if single:
        problems.add(f"prior '{single[0]}'", f"is of one coefficient, and {why}", f"Give one prior of '{term}'.")


def _check_common(spec: ModelSpec, law: Law, count: int, problems: Problems) -> None:
    """Note why a law of all coefficients does not suit those that it is left with."""
    where = "prior 'coefficients'"
    if isinstance(law, RegularisedHorseshoe) and not law.expected_nonzero < count:
        problems.add(
            where,
            f"expects {law.expected_nonzero:g} coefficients to matter, of {count} without a prior of their own",
            "Expect fewer; where most matter, the default priors do.",
        )
    if isinstance(law, R2D2) and count < 2:
        what = f"is R2D2, which divides variance among coefficients, and there are {count} without a prior of their own"
        problems.add(where, what, "Leave it out.")
    if isinstance(law, R2D2) and spec.metric != HAZARD_RATIO:
        problems.add(
            where,
            "is R2D2, whose share of variance is known with hazard ratios only: with time ratios it depends on the shape",
            "Use metric='hazard-ratio', or RegularisedHorseshoe.",
        )


def _joint(design: Design, law: Law, places: list[int], events: float, term: str = "") -> JointPrior:
    values = design.matrix[:, places]
    units = np.array([unit(column) for column in values.T])
    return JointPrior(
        law=law,
        columns=tuple(design.columns[place] for place in places),
        units=tuple(map(float, units)),
        spreads=tuple(map(float, values.std(axis=0, ddof=1) / units)),
        events=events,
        term=term,
    )
