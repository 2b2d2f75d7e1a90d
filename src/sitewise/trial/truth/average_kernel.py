"""The compiled average of survival over a row's kinds of patients and its distribution of sites."""

from __future__ import annotations

import numpy as np

from sitewise.classical.compiled import compiled


@compiled
def average_survival(log_hazard, added, shares, site_sd, nodes, weights):  # type: ignore[no-untyped-def]
    """Return the mean of exp(-H exp(added + site)), shape (n, T).

    Parameters are log H of somebody who adds nothing, (n, T); what kinds of patients add, (n, K), with shares that sum to 1;
    the sd of sites, (n,); and nodes and weights, (Q,), of a standard normal variable.
    """
    rows, times = log_hazard.shape
    kinds = added.shape[1]
    points = nodes.size
    result = np.zeros((rows, times))
    factor = np.empty(kinds * points)
    weight = np.empty(kinds * points)
    for row in range(rows):
        spread = points if site_sd[row] > 0 else 1
        used = 0
        for kind in range(kinds):
            if shares[row, kind] <= 0:
                continue
            for point in range(spread):
                if spread == 1:
                    factor[used] = np.exp(added[row, kind])
                    weight[used] = shares[row, kind]
                else:
                    factor[used] = np.exp(added[row, kind] + site_sd[row] * nodes[point])
                    weight[used] = shares[row, kind] * weights[point]
                used += 1
        for time in range(times):
            hazard = np.exp(log_hazard[row, time])
            total = 0.0
            for item in range(used):
                total += weight[item] * np.exp(-hazard * factor[item])
            result[row, time] = total
    return result


@compiled
def interpolated(time, group, start, first, step, table):  # type: ignore[no-untyped-def]
    """Return exp of a table linear in log time, at times (n,) of groups (n,); 0 until ``start``.

    Beyond its ends the table, (G, P), goes on as a straight line: as a Weibull's log cumulative hazard does.
    """
    result = np.empty(time.size)
    last = table.shape[1] - 2
    for item in range(time.size):
        since = time[item] - start
        if not since > 0:
            result[item] = 0.0
            continue
        place = (np.log(since) - first) / step
        left = min(max(int(np.floor(min(max(place, 0.0), last + 1.0))), 0), last)
        own = table[group[item]]
        result[item] = np.exp(own[left] + (place - left) * (own[left + 1] - own[left]))
    return result
