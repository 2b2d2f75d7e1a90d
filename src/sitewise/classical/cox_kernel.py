r"""Cox's partial likelihood of one cohort with its score and information, compiled.

With d events at a time, Breslow's likelihood divides each by the whole risk set and Efron's takes l / d of the dying out of it
for l = 0 ... d - 1 (Therneau & Grambsch 2000, Modeling Survival Data, section 3.3). The score is written with each patient's
expected number of events :math:`w_i` (its hazard times the baseline hazard while at risk), the information as

.. math:: \sum_i w_i x_i x_i' - \sum_e \bar x_e \bar x_e'

which is the sum over events of the covariance in the risk set, but needs only two passes over the patients and products of long
rows: several times faster than summing a matrix for each risk set.

``gather`` lays a cohort out in the order of its times, once; ``score_information`` reads that at each coefficient.
"""

from __future__ import annotations

import math

import numpy as np

from sitewise.classical.compiled import compiled, compiled_for_rows
from sitewise.classical.exponentials import exponentials

SPREAD = 700.0
"""Of the log hazards in a cohort, beyond which a likelihood is refused: its exponentials would not be numbers."""

FIRST, DEATHS, ENTERED, OWN = range(4)
"""Rows of whole numbers: of each event time, its first patient and its deaths; of each patient, the event times before its
entry and its own event time (-1 before the first)."""

RISK, WEIGHT, WHOLE, RATE, DYING = range(5)
"""Rows of numbers: of each patient, its hazard and its expected events; of each event time, the hazard of the risk set, and
what it adds to the cumulative baseline hazard of those who survive it and of those who die at it. Then p rows: means of the
columns in the risk set of each event."""


@compiled
def room(n, p):  # type: ignore[no-untyped-def]
    """Return space for a cohort of up to n patients and p columns: its columns, facts of them, whole numbers, numbers."""
    return np.zeros((p, n)), np.zeros((4, p)), np.zeros((4, n + 1), np.int64), np.zeros((5 + p, n))


@compiled
def gather(order, time, event, entry, design, include, space):  # type: ignore[no-untyped-def]
    """Lay out the included patients of a cohort by time, deaths first where times are equal, columns about their means.

    ``design`` (n, p) and ``include`` (n,) are in the patients' own order, ``order``, ``time``, ``event`` and ``entry`` (n,), or
    (0,) where all are observed from the start, sorted by time.

    Returns
    -------
    patients, event times, deaths : int
        Numbers in the model. The second array of ``space`` then holds means, ranges and sums over deaths of the columns.
    """
    columns, facts, whole, _ = space
    n, p = design.shape
    size, times, deaths = 0, 0, 0
    start = 0
    while start < n:
        stop = start + 1
        while stop < n and time[stop] == time[start]:
            stop += 1
        before = size
        for dying in (True, False):
            for i in range(start, stop):
                patient = order[i]
                if event[i] == dying and include[patient]:
                    for j in range(p):
                        columns[j, size] = design[patient, j]
                    whole[ENTERED, size] = 0
                    if entry.size > 0:
                        while whole[ENTERED, size] < times and time[whole[OWN, whole[ENTERED, size]]] <= entry[i]:
                            whole[ENTERED, size] += 1
                    size += 1
            if dying and size > before:
                whole[FIRST, times], whole[DEATHS, times] = before, size - before
                # While patients are read, the last row keeps where each event time stands in ``time``.
                whole[OWN, times] = start
                deaths += size - before
                times += 1
        start = stop
    whole[FIRST, times] = size
    place = -1
    for i in range(size):
        while place + 1 < times and whole[FIRST, place + 1] <= i:
            place += 1
        whole[OWN, i] = place
    for j in range(p):
        total, least, most = 0.0, np.inf, -np.inf
        for i in range(size):
            total += columns[j, i]
            least, most = min(least, columns[j, i]), max(most, columns[j, i])
        mean = total / max(size, 1)
        died = 0.0
        for i in range(size):
            columns[j, i] -= mean
        for b in range(times):
            for i in range(whole[FIRST, b], whole[FIRST, b] + whole[DEATHS, b]):
                died += columns[j, i]
        facts[0, j], facts[2, j] = mean, died
        facts[1, j] = most - least if math.isfinite(total) else np.nan
    return size, times, deaths


@compiled_for_rows
def _product(a, b, n):  # type: ignore[no-untyped-def]
    total = 0.0
    for i in range(n):
        total += a[i] * b[i]
    return total


@compiled_for_rows
def _product_of_three(a, b, c, n):  # type: ignore[no-untyped-def]
    total = 0.0
    for i in range(n):
        total += a[i] * b[i] * c[i]
    return total


@compiled
def _hazards(coefficient, space, size):  # type: ignore[no-untyped-def]
    """Fill the patients' hazards, scaled by their middle; return its logarithm, or NaN where they cannot be computed."""
    columns, _, _, numbers = space
    risk, log_risk = numbers[RISK], numbers[WEIGHT]  # the weights are made later
    zero = True
    for j in range(coefficient.size):
        zero = zero and coefficient[j] == 0.0
    if zero:
        risk[:size] = 1.0
        return 0.0
    log_risk[:size] = 0.0
    for j in range(coefficient.size):
        slope = coefficient[j]
        for i in range(size):
            log_risk[i] += slope * columns[j, i]
    least, most = np.inf, -np.inf
    for i in range(size):
        least, most = min(least, log_risk[i]), max(most, log_risk[i])
    if not most - least < SPREAD:
        return np.nan
    middle = 0.5 * (least + most)
    for i in range(size):
        log_risk[i] -= middle
    exponentials(log_risk, risk, size)
    return middle


@compiled
def _risk_sets(values, out, whole, times, entered_late):  # type: ignore[no-untyped-def]
    """Sum values (n,) of the patients over the risk set of each event time."""
    if not entered_late:
        total = 0.0
        for b in range(times - 1, -1, -1):
            for i in range(whole[FIRST, b + 1] - 1, whole[FIRST, b] - 1, -1):
                total += values[i]
            out[b] = total
        return
    # Taking the late out of running sums would cancel digits; late entry is rare enough for summing every risk set by itself.
    out[:times] = 0.0
    for i in range(whole[FIRST, 0], whole[FIRST, times]):
        for b in range(whole[ENTERED, i], whole[OWN, i] + 1):
            out[b] += values[i]


@compiled
def score_information(coefficient, efron, space, size, times, deaths, entered_late, score, information):  # type: ignore[no-untyped-def]
    """Fill score (p,) and information (p, p) of a gathered cohort; return its log partial likelihood or, out of range, -inf."""
    columns, facts, whole, numbers = space
    p = coefficient.size
    risk, weight, sums, rate, dying = numbers[RISK], numbers[WEIGHT], numbers[WHOLE], numbers[RATE], numbers[DYING]
    means = numbers[5:]
    middle = _hazards(coefficient, space, size)
    if not math.isfinite(middle):
        return -np.inf
    value = -deaths * middle
    for j in range(p):
        value += coefficient[j] * facts[2, j]
    _risk_sets(risk, sums, whole, times, entered_late)

    product = 1.0  # of the risk sets: a logarithm of many at once
    for b in range(times):
        count, first = whole[DEATHS, b], whole[FIRST, b]
        if count == 1:
            product *= sums[b]
            if not 1e-100 < product < 1e100:
                value -= math.log(product)
                product = 1.0
            rate[b] = dying[b] = 1.0 / sums[b]
            continue
        rate[b], dying[b], own = 0.0, 0.0, 0.0
        if efron:
            for i in range(first, first + count):
                own += risk[i]
        for death in range(count):
            taken = death / count if efron else 0.0
            share = sums[b] - taken * own
            product *= share
            if not 1e-100 < product < 1e100:
                value -= math.log(product)
                product = 1.0
            rate[b] += 1.0 / share
            dying[b] += (1.0 - taken) / share
    value -= math.log(product)

    for i in range(whole[FIRST, 0]):
        weight[i] = 0.0
    if entered_late:
        for i in range(whole[FIRST, 0], size):
            b = whole[OWN, i]
            total = 0.0
            for earlier in range(whole[ENTERED, i], b):
                total += rate[earlier]
            dies = i < whole[FIRST, b] + whole[DEATHS, b]
            if dies or whole[ENTERED, i] <= b:
                total += dying[b] if dies else rate[b]
            weight[i] = risk[i] * total
    else:
        total = 0.0
        for b in range(times):
            first = whole[FIRST, b]
            for i in range(first, first + whole[DEATHS, b]):
                weight[i] = risk[i] * (total + dying[b])
            total += rate[b]
            for i in range(first + whole[DEATHS, b], whole[FIRST, b + 1]):
                weight[i] = risk[i] * total

    for j in range(p):
        score[j] = facts[2, j] - _product(weight, columns[j], size)
    _means(columns, numbers, whole, times, efron, entered_late, p)
    for j in range(p):
        for k in range(j + 1):
            found = _product_of_three(weight, columns[j], columns[k], size) - _product(means[j], means[k], deaths)
            information[j, k] = found
            information[k, j] = found
    return value


@compiled
def _means(columns, numbers, whole, times, efron, entered_late, p):  # type: ignore[no-untyped-def]
    """Fill the means of the columns in the risk set of each event."""
    risk, sums = numbers[RISK], numbers[WHOLE]
    rate, total_of = numbers[RATE], numbers[DYING]  # what the dying add is no longer needed
    for j in range(p):
        column, mean = columns[j], numbers[5 + j]
        if entered_late:
            _risk_sets(risk * column, total_of, whole, times, True)
        else:
            running = 0.0
            for b in range(times - 1, -1, -1):
                for i in range(whole[FIRST, b + 1] - 1, whole[FIRST, b] - 1, -1):
                    running += risk[i] * column[i]
                total_of[b] = running
        place = 0
        for b in range(times):
            count, first = whole[DEATHS, b], whole[FIRST, b]
            if count == 1:
                mean[place] = total_of[b] * rate[b]
                place += 1
                continue
            own, own_hazard = 0.0, 0.0
            if efron:
                for i in range(first, first + count):
                    own += risk[i] * column[i]
                    own_hazard += risk[i]
            for death in range(count):
                taken = death / count if efron else 0.0
                mean[place] = (total_of[b] - taken * own) / (sums[b] - taken * own_hazard)
                place += 1


@compiled
def cox_score_information(order, time, event, design, include, coefficient, efron, score, information):  # type: ignore[no-untyped-def]
    """Fill score (p,) and information (p, p) of one cohort at a coefficient (p,); return the log partial likelihood.

    To be called from compiled code. ``design`` (n, p) and ``include`` (n,) are in the patients' own order; ``order``, ``time``
    and ``event`` (n,) sorted by time; ``efron`` is False for Breslow's treatment of ties. Where hazards spread beyond what
    doubles hold, the result is -inf and nothing is filled. At many coefficients of one cohort, ``gather`` once and call
    ``score_information``.
    """
    n, p = design.shape
    space = room(n, p)
    size, times, deaths = gather(order, time, event, np.empty(0), design, include, space)
    return score_information(coefficient, efron, space, size, times, deaths, False, score, information)
