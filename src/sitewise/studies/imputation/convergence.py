"""Whether imputation chains have settled: many short independent chains, judged over chains and not along them.

Along a chain of twenty sweeps R-hat says little. Over fifty independent chains two things can be seen: whether the mean over
chains still moves, and whether chains remember where they were halfway. A chain that forgets that has forgotten its start too.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from sitewise.inference.verdict import Check, check

Floats = NDArray[np.float64]
SURE = 0.99
"""Probability, over all quantities together, with which the memory is at least the limit that is stated."""


def convergence_table(trace: Floats, quantities: tuple[str, ...]) -> pd.DataFrame:
    """Return what is known of the convergence of each quantity.

    Parameters
    ----------
    trace : ndarray, shape (M, sweeps, Q)
        Of M independent chains.
    quantities : tuple of str
        Names of the Q.

    Returns
    -------
    DataFrame
        ``quantity``; ``drift``: mean of the last quarter of the sweeps less that of the second, in sds over chains at the end;
        ``drift_p``: p value of a paired t test of it over chains; ``memory``: correlation over chains between the sweep in the
        middle and the last; ``memory_lower``: its lower limit (Fisher's z), cautious, and sure for all quantities together.
    """
    chains, sweeps, count = trace.shape
    quarter = max(1, sweeps // 4)
    moved = trace[:, -quarter:].mean(axis=1) - trace[:, quarter : 2 * quarter].mean(axis=1)
    spread = trace[:, -1].std(axis=0, ddof=1)
    sure = stats.norm.ppf(1 - (1 - SURE) / max(count, 1)) / np.sqrt(max(chains - 3, 1))
    rows = []
    for place, name in enumerate(quantities):
        middle, last = trace[:, sweeps // 2 - 1, place], trace[:, -1, place]
        # A quantity of one or two patients has few values, and may agree by chance in the one chain where it differs: the limit
        # is of the correlation that is left whichever chain is left out, shrunk for the number of chains.
        left = min(correlation(np.delete(middle, own), np.delete(last, own)) for own in range(chains))
        lower = np.tanh(np.arctanh(left * (1 - 2 / chains)) - sure)
        varies = moved[:, place].std() > 0
        rows.append(
            {
                "quantity": name,
                "drift": float(moved[:, place].mean() / spread[place]) if spread[place] > 0 else 0.0,
                "drift_p": float(stats.ttest_1samp(moved[:, place], 0.0).pvalue) if varies else 1.0,
                "memory": correlation(middle, last),
                "memory_lower": float(lower),
            }
        )
    return pd.DataFrame(rows, columns=["quantity", "drift", "drift_p", "memory", "memory_lower"])


def correlation(one: Floats, other: Floats) -> float:
    """Return Pearson's correlation; 0 where one of the two does not vary."""
    return float(np.corrcoef(one, other)[0, 1]) if one.std() > 0 and other.std() > 0 else 0.0


def convergence_checks(table: pd.DataFrame) -> tuple[Check, ...]:
    """Return the checks of a table of convergence; none when nothing was imputed."""
    if table.empty:
        return ()
    drift = table.iloc[int(table["drift_p"].to_numpy().argmin())]
    memory = table.iloc[int(table["memory_lower"].to_numpy().argmax())]
    adjusted = min(1.0, float(drift["drift_p"]) * len(table))
    return (
        check("imputation_drift", adjusted, str(drift["quantity"])),
        check("imputation_memory", float(memory["memory_lower"]), str(memory["quantity"])),
    )
