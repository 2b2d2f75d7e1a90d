"""What a cohort costs: squared distances of its statistics from the published ones, in units of their tolerances; compiled.

A cohort is kept in the order of its times. Its Cox models are judged without being fitted: a log hazard ratio equals the
published one if and only if the score at the published ratios is 0, and the information there gives the standard errors. One
pass over the patients therefore yields the Newton step towards the cohort's own estimates. Times are distinct, so that no
treatment of ties matters.
"""

from __future__ import annotations

import math

import numpy as np

from sitewise.classical.compiled import compiled

(
    LOG_HAZARD_RATIO,
    LOG_STANDARD_ERROR,
    MEDIAN,
    SURVIVAL,
    MEDIAN_LOWER,
    MEDIAN_UPPER,
    LOG_WIDTH,
    BEYOND_LAST,
    FOLLOW_UP,
    SHORTEST,
    LONGEST,
    EVENTS,
    AT_RISK,
    JOINT,
    UPPER_BEYOND_LAST,
) = range(15)
OBSERVED, REVERSE, ALIVE = range(3)
OUTSIDE = 25.0
"""Cost, in squared tolerances, of a Kaplan-Meier figure that would be printed otherwise, however little it is off."""
MISS = 1e6
"""Cost of a statistic that does not exist."""


@compiled
def _outside(value, low, high):  # type: ignore[no-untyped-def]
    return max(low - value, value - high, 0.0)


@compiled
def _missed(tolerances):  # type: ignore[no-untyped-def]
    """Return the cost of a figure of a curve outside its rounding box: a little outside would be printed otherwise, too."""
    return tolerances**2 + OUTSIDE if tolerances > 0 else 0.0


@compiled
def _model_cost(  # type: ignore[no-untyped-def]
    model, codes, event, model_start, term_covariate, values, ratios, included, kind, target_term, value, tolerance, first, last
):
    """Return the cost of the targets first to last of one model."""
    n = len(codes)
    start, p = model_start[model], model_start[model + 1] - model_start[model]
    if p == 1:
        return _row_cost(model, start, codes, event, term_covariate, values, ratios, included, kind, value, tolerance, first,
            last)  # fmt: skip
    s0 = 0.0
    s1, x, score, s2, information = np.zeros(p), np.zeros(p), np.zeros(p), np.zeros((p, p)), np.zeros((p, p))
    for i in range(n - 1, -1, -1):
        risk = 1.0
        for j in range(p):
            covariate = term_covariate[start + j]
            code = codes[i, covariate]
            if not included[model, covariate, code]:
                risk = 0.0
                break
            x[j] = values[start + j, code]
            risk *= ratios[start + j, code]
        if risk == 0.0:
            continue
        s0 += risk
        for j in range(p):
            weighted = risk * x[j]
            s1[j] += weighted
            for k in range(j + 1):
                s2[j, k] += weighted * x[k]
        if event[i]:
            inverse = 1.0 / s0
            for j in range(p):
                mean = s1[j] * inverse
                score[j] += x[j] - mean
                for k in range(j + 1):
                    information[j, k] += (s2[j, k] - mean * s1[k]) * inverse
    # Cholesky factor in place, then the inverse.
    for j in range(p):
        for k in range(j + 1):
            total = information[j, k]
            for m in range(k):
                total -= information[j, m] * information[k, m]
            if j == k:
                if total <= 1e-9:
                    return MISS
                information[j, j] = math.sqrt(total)
            else:
                information[j, k] = total / information[k, k]
    cost = 0.0
    column = np.zeros(p)
    for t in range(first, last):
        row = target_term[t]
        # Solve for the row of the inverse information.
        for j in range(p):
            total = 1.0 if j == row else 0.0
            for k in range(j):
                total -= information[j, k] * column[k]
            column[j] = total / information[j, j]
        for j in range(p - 1, -1, -1):
            total = column[j]
            for k in range(j + 1, p):
                total -= information[k, j] * column[k]
            column[j] = total / information[j, j]
        if kind[t] == LOG_HAZARD_RATIO:
            step = 0.0
            for j in range(p):
                step += column[j] * score[j]
            cost += (step / tolerance[t]) ** 2
        else:
            cost += ((0.5 * math.log(column[row]) - value[t]) / tolerance[t]) ** 2
    return cost


@compiled
def _row_cost(  # type: ignore[no-untyped-def]
    model, row, codes, event, term_covariate, values, ratios, included, kind, value, tolerance, first, last
):
    """Return the cost of the targets first to last of a model with one row: the same sums without matrices."""
    covariate = term_covariate[row]
    s0, s1, s2, score, information = 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(len(codes) - 1, -1, -1):
        code = codes[i, covariate]
        if not included[model, covariate, code]:
            continue
        x, risk = values[row, code], ratios[row, code]
        s0 += risk
        s1 += risk * x
        s2 += risk * x * x
        if event[i]:
            mean = s1 / s0
            score += x - mean
            information += s2 / s0 - mean * mean
    if information <= 1e-9:
        return MISS
    cost = 0.0
    for t in range(first, last):
        if kind[t] == LOG_HAZARD_RATIO:
            cost += (score / information / tolerance[t]) ** 2
        else:
            cost += ((-0.5 * math.log(information) - value[t]) / tolerance[t]) ** 2
    return cost


@compiled
def _group_cost(  # type: ignore[no-untyped-def]
    group, codes, time, event, group_table, group_count, favourable, group_list, kind, low, high, value, half, tolerance, z,
    first, last, scratch,
):  # fmt: skip
    """Return the cost of the targets first to last of one group: they read its Kaplan-Meier curve, or count."""
    n = time.size
    times, survival, greenwood, left = scratch[0], scratch[1], scratch[2], scratch[3]
    size, events, wanted = 0, 0, group_count[group]
    # Written out, since a call for every patient would take longer than all the rest.
    for i in range(n):
        found, member = 0, True
        for place in range(group_list.shape[1]):
            c = group_list[group, place]
            if c < 0:
                break
            if wanted >= 0:
                found += favourable[c, codes[i, c]]
            elif not group_table[group, c, codes[i, c]]:
                member = False
                break
        if member and (wanted < 0 or found == wanted):
            times[size] = time[i]
            left[size] = 1.0 if event[i] else 0.0
            events += event[i]
            size += 1
    s, g = 1.0, 0.0
    for k in range(size):
        if left[k] > 0:
            at_risk = size - k
            s *= 1 - 1 / at_risk
            g += 1 / (at_risk * (at_risk - 1.0)) if at_risk > 1 else 0.0
        survival[k], greenwood[k] = s, g
    cost = 0.0
    for t in range(first, last):
        if kind[t] == EVENTS:
            cost += ((events - value[t]) / tolerance[t]) ** 2
            continue
        if kind[t] == JOINT:
            cost += ((size - value[t]) / tolerance[t]) ** 2
            continue
        if kind[t] == BEYOND_LAST:
            cost += (max(0.51 - s, 0.0) / tolerance[t]) ** 2
            continue
        if kind[t] == UPPER_BEYOND_LAST:
            cost += (max(0.51 - _limit(s, g, -z[t]), 0.0) / tolerance[t]) ** 2
            continue
        if kind[t] == AT_RISK:
            cost += ((size - np.searchsorted(times[:size], low[t]) - value[t]) / tolerance[t]) ** 2
            continue
        before = np.searchsorted(times[:size], low[t], side="right") - 1
        after = np.searchsorted(times[:size], high[t], side="right") - 1
        s_before = survival[before] if before >= 0 else 1.0
        s_after = survival[after] if after >= 0 else 1.0
        if kind[t] == SURVIVAL:
            cost += _missed(max(abs(s_before - value[t]) - half[t], 0.0) / tolerance[t])
            continue
        g_before = greenwood[before] if before >= 0 else 0.0
        g_after = greenwood[after] if after >= 0 else 0.0
        if kind[t] == LOG_WIDTH:
            width = _limit(s_before, g_before, -z[t]) - _limit(s_before, g_before, z[t])
            cost += (max(abs(math.log(max(width, 1e-3)) - value[t]) - half[t], 0.0) / tolerance[t]) ** 2
            continue
        if kind[t] == MEDIAN_LOWER:
            s_before, s_after = _limit(s_before, g_before, z[t]), _limit(s_after, g_after, z[t])
        elif kind[t] == MEDIAN_UPPER:
            s_before, s_after = _limit(s_before, g_before, -z[t]), _limit(s_after, g_after, -z[t])
        # The curve must be above one half before the box of the printed time and not above it at its end.
        miss = max(0.5 + 1e-9 - s_before, 0.0) + max(s_after - 0.5 - 1e-9, 0.0)
        cost += _missed(miss / tolerance[t])
    return cost


@compiled
def _limit(survival, greenwood, z):  # type: ignore[no-untyped-def]
    """Return a log-log limit of a Kaplan-Meier estimate: the lower one for z > 0."""
    if survival >= 1 or survival <= 0:
        return survival
    return survival ** math.exp(z * math.sqrt(greenwood) / -math.log(survival))


@compiled
def _follow_cost(time, event, kind, definition, low, high, value, tolerance, first, last):  # type: ignore[no-untyped-def]
    """Return the cost of the follow-up targets: distances from the rounding box in units of time."""
    n = time.size
    cost = 0.0
    for t in range(first, last):
        if kind[t] == SHORTEST:
            i = 0
            while definition[t] == ALIVE and event[i] and i < n - 1:
                i += 1
            found = time[i]
        elif kind[t] == LONGEST:
            i = n - 1
            while definition[t] == ALIVE and event[i] and i > 0:
                i -= 1
            found = time[i]
        elif definition[t] == REVERSE:
            found, s = time[n - 1], 1.0
            for i in range(n):
                if not event[i]:
                    s *= 1 - 1 / (n - i)
                    if s <= value[t]:
                        found = time[i]
                        break
        else:
            count = 0
            for i in range(n):
                if definition[t] == OBSERVED or not event[i]:
                    count += 1
            if count == 0:
                cost += MISS
                continue
            place = (1 - value[t]) * (count - 1)
            lower_place = math.floor(place)
            seen, found, share = -1, 0.0, place - math.floor(place)
            for i in range(n):
                if definition[t] == OBSERVED or not event[i]:
                    seen += 1
                    if seen == lower_place:
                        found += (1 - share) * time[i]
                    elif seen == lower_place + 1:
                        found += share * time[i]
                        break
        cost += (_outside(found, low[t], high[t]) / tolerance[t]) ** 2
    return cost


@compiled
def block_cost(  # type: ignore[no-untyped-def]
    b, blocks, codes, time, event, model_start, term_covariate, values, ratios, included, group_table, group_count,
    favourable, group_list, kind, target_term, definition, low, high, value, half, tolerance, z, scratch,
):  # fmt: skip
    """Return the cost of one set of targets."""
    what, number, first, last = blocks[b, 0], blocks[b, 1], blocks[b, 2], blocks[b, 3]
    if what == 0:
        return _model_cost(number, codes, event, model_start, term_covariate, values, ratios, included, kind, target_term,
            value, tolerance, first, last)  # fmt: skip
    if what == 1:
        return _group_cost(number, codes, time, event, group_table, group_count, favourable, group_list, kind, low, high,
            value, half, tolerance, z, first, last, scratch)  # fmt: skip
    return _follow_cost(time, event, kind, definition, low, high, value, tolerance, first, last)
