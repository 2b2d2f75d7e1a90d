"""Differences and ratios between groups, and the probability that they exceed a margin."""

from __future__ import annotations

from typing import Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sitewise import names
from sitewise.problems import SpecError, nearest

Floats = NDArray[np.float64]
Scale = Literal["difference", "ratio"]
NULL: dict[str, float] = {"difference": 0.0, "ratio": 1.0}
"""The value of no difference, by scale."""


def contrast(values: xr.DataArray, /, *, reference: str, scale: Scale = "difference") -> xr.DataArray:
    """Return each other group against ``reference``, draw by draw.

    Parameters
    ----------
    values : DataArray
        An estimand with dims chain, draw, group (and time).
    reference : str
        Label of the reference group.
    scale : {"difference", "ratio"}
        How groups are compared.
    """
    labels = [str(name) for name in values[names.GROUP].to_numpy()]
    if reference not in labels:
        raise SpecError(f"There is no group '{reference}'. {nearest(reference, labels)}")
    if scale not in NULL:
        raise SpecError(f"A contrast is a difference or a ratio, not '{scale}'.")
    base = values.sel({names.GROUP: reference}, drop=True)
    others = values.sel({names.GROUP: [name for name in labels if name != reference]})
    result = compared(others, base, scale)
    return result.assign_attrs({**values.attrs, "scale": scale, "reference_group": reference})


def compared[Values: (Floats, xr.DataArray)](values: Values, base: Values, scale: str) -> Values:
    """Return ``values`` against ``base``, as difference or ratio; a ratio to zero is infinite."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return values - base if scale == "difference" else values / base


def prob_above(values: xr.DataArray, bound: float) -> xr.DataArray:
    """Return the posterior probability that ``values`` exceed ``bound``, over chain and draw."""
    return (values > bound).mean(dim=(names.CHAIN, names.DRAW))
