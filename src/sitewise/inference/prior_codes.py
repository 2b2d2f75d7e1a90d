"""Priors as numbers: the code and parameters that the compiled functions take."""

from __future__ import annotations

from functools import lru_cache

from sitewise.models.joint_priors import JointPrior
from sitewise.models.priors import Prior

REAL_CODES = {
    "Normal": (0, ("mu", "sigma")),
    "StudentT": (1, ("nu", "mu", "sigma")),
    "Cauchy": (2, ("alpha", "beta")),
    "Laplace": (3, ("mu", "b")),
}
POSITIVE_CODES = {
    "HalfNormal": (4, ("sigma",)),
    "LogNormal": (5, ("mu", "sigma")),
    "HalfStudentT": (6, ("nu", "sigma")),
    "Exponential": (7, ("lam",)),
    "Gamma": (8, ("alpha", "beta")),
    "InverseGamma": (9, ("alpha", "beta")),
    "HalfCauchy": (10, ("beta",)),
}
SHARE_CODES = {"Beta": (11, ("alpha", "beta"))}
"""PyMC distributions that the kernel knows, with its code and the parameters it takes; others go through the graph."""
REAL, POSITIVE, SHARE = frozenset(REAL_CODES), frozenset(POSITIVE_CODES), frozenset(SHARE_CODES)
SUPPORTS = {"positive": (0, POSITIVE), "real": (1, REAL), "share": (2, SHARE)}
"""Supports of shape parameters, with the kernel's codes and the priors that it knows on them."""


@lru_cache(maxsize=4096)
def encode(prior: Prior | JointPrior, known: frozenset[str]) -> tuple[float, ...] | None:
    """Return a prior as code, a, b, c; None when it is not among the ``known`` ones, or the kernel cannot take it.

    Kept, because thousands of fits have the same few priors.
    """
    if isinstance(prior, JointPrior) or prior.dist not in known or not prior.scalar:
        return None
    code, parameters = {**REAL_CODES, **POSITIVE_CODES, **SHARE_CODES}[prior.dist]
    values = prior.values
    if set(parameters) != set(values):
        return None
    location = "alpha" if prior.dist == "Cauchy" else "mu"
    if any(value <= 0 for name, value in values.items() if name != location):
        return None  # the graph says what is wrong
    numbers = [values[name] for name in parameters]
    return (float(code), *numbers, *[0.0] * (3 - len(numbers)))


class UnknownPriorError(ValueError):
    """The compiled functions have no formula of a prior."""


def encoded(prior: Prior | JointPrior, known: frozenset[str]) -> tuple[float, ...]:
    """Return a prior as code, a, b, c.

    Raises
    ------
    UnknownPriorError
        When the kernel does not know it.
    """
    numbers = encode(prior, known)
    if numbers is None:
        raise UnknownPriorError(f"the kernel does not know the prior {prior}")
    return numbers
