"""The moves of a reconstruction and what they cost, compiled: everything is one file because numba's cache looks at one file.

A cohort is kept in the order of its times. Its Cox models are judged without being fitted: a log hazard ratio equals the
published one if and only if the score at the published ratios is 0, and the information there gives the standard errors, so one pass
over the patients yields the Newton step towards the cohort's own estimates. Times are distinct, so that no treatment of ties matters.
"""

from __future__ import annotations

import math

import numba
import numpy as np

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
) = range(14)
OBSERVED, REVERSE, ALIVE = range(3)
MISS = 1e6
"""Cost of a statistic that does not exist."""


def _jit(function):  # type: ignore[no-untyped-def]
    """Compile with numba and keep the machine code on disk, where there is a disk to write to."""
    try:
        return numba.njit(cache=True, error_model="numpy", nogil=True)(function)
    except RuntimeError:
        return numba.njit(error_model="numpy", nogil=True)(function)


@_jit
def _outside(value, low, high):  # type: ignore[no-untyped-def]
    return max(low - value, value - high, 0.0)


@_jit
def _model_cost(  # type: ignore[no-untyped-def]
    model, codes, event, model_start, term_covariate, values, ratios, included, kind, target_term, value, tolerance, first, last
):
    """Return the cost of the targets first to last of one model."""
    n = len(codes)
    start, p = model_start[model], model_start[model + 1] - model_start[model]
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
            for j in range(p):
                mean = s1[j] / s0
                score[j] += x[j] - mean
                for k in range(j + 1):
                    information[j, k] += s2[j, k] / s0 - mean * s1[k] / s0
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


@_jit
def _member(group, i, codes, group_table, group_count, favourable, group_list):  # type: ignore[no-untyped-def]
    """Return whether a patient is in a group; ``group_list`` has the characteristics that define it, then -1."""
    found = 0
    for place in range(group_list.shape[1]):
        c = group_list[group, place]
        if c < 0:
            break
        if group_count[group] >= 0:
            found += favourable[c, codes[i, c]]
        elif not group_table[group, c, codes[i, c]]:
            return False
    return group_count[group] < 0 or found == group_count[group]


@_jit
def _group_cost(  # type: ignore[no-untyped-def]
    group,
    codes,
    time,
    event,
    group_table,
    group_count,
    favourable,
    group_list,
    kind,
    low,
    high,
    value,
    half,
    tolerance,
    z,
    first,
    last,
):
    """Return the cost of the targets first to last of one group: they read its Kaplan-Meier curve, or count."""
    n = time.size
    times, survival, greenwood, left = np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    size, events = 0, 0
    for i in range(n):
        if _member(group, i, codes, group_table, group_count, favourable, group_list):
            times[size] = time[i]
            left[size] = 1.0 if event[i] else 0.0
            events += event[i]
            size += 1
    s, g = 1.0, 0.0
    for k in range(size):
        at_risk = size - k
        if left[k] > 0:
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
        if kind[t] == AT_RISK:
            cost += ((size - np.searchsorted(times[:size], low[t]) - value[t]) / tolerance[t]) ** 2
            continue
        before = np.searchsorted(times[:size], low[t], side="right") - 1
        after = np.searchsorted(times[:size], high[t], side="right") - 1
        s_before = survival[before] if before >= 0 else 1.0
        s_after = survival[after] if after >= 0 else 1.0
        if kind[t] == SURVIVAL:
            cost += (max(abs(s_before - value[t]) - half[t], 0.0) / tolerance[t]) ** 2
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
        miss = max(0.5 + 1e-9 - s_before, 0.0) + max(s_after - 0.5, 0.0)
        cost += (miss / tolerance[t]) ** 2
    return cost


@_jit
def _limit(survival, greenwood, z):  # type: ignore[no-untyped-def]
    """Return a log-log limit of a Kaplan-Meier estimate: the lower one for z > 0."""
    if survival >= 1 or survival <= 0:
        return survival
    return survival ** math.exp(z * math.sqrt(greenwood) / -math.log(survival))


@_jit
def _follow_cost(time, event, kind, definition, low, high, value, tolerance, first, last):  # type: ignore[no-untyped-def]
    """Return the cost of the follow-up targets: distances from the rounding box in units of time."""
    n = time.size
    cost = 0.0
    for t in range(first, last):
        if kind[t] == SHORTEST:
            found = time[0]
        elif kind[t] == LONGEST:
            found = time[n - 1]
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
            lower_place = int(math.floor(place))
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


@_jit
def anneal(  # type: ignore[no-untyped-def]
    stream, steps, hot, cold, codes, time, event, shortest, longest, model_start, term_covariate, values, ratios, included,
    term_of_covariate, slots, slot_low, slot_high, coefficient, group_table, group_count, favourable, group_list, group_uses, blocks, kind,
    target_term, definition, low, high, value, half, tolerance, z,
):  # fmt: skip
    """Move a cohort until its statistics are the published ones; arrays are changed in place.

    ``blocks`` has a row a set of targets that is judged together: what it is (0 model, 1 group, 2 follow-up), its number, and its
    first and last target. ``slots[c]`` says whether covariate c is numeric: its codes are then places of values that may
    move between ``slot_low`` and ``slot_high``. Returns the cost of each block.
    """
    n, covariates = codes.shape
    count = len(blocks)
    cost, proposed = np.zeros(count), np.zeros(count)

    def_block = np.zeros(count, dtype=np.bool_)
    for b in range(count):
        cost[b] = _block_cost(b, blocks, codes, time, event, model_start, term_covariate, values, ratios, included, group_table,
            group_count, favourable, group_list, kind, target_term, definition, low, high, value, half, tolerance, z)  # fmt: skip
    total = cost.sum()
    cooling = (cold / hot) ** (1.0 / max(steps - 1, 1))
    temperature = hot
    for _ in range(steps):
        temperature *= cooling
        move = stream.random()
        i = int(stream.random() * n)
        # Partners are near or far in time with the same probability on a log scale: near swaps are the fine moves.
        away = int(math.exp(stream.random() * math.log(n - 0.001)))
        j = (i + away) % n if stream.random() < 0.5 else (i - away) % n
        c = int(stream.random() * covariates)
        old_time, old_event, moved_slot, old_value = time[i], event[i], -1, 0.0
        what = 0
        for b in range(count):
            def_block[b] = True
        if move < 0.40:  # swap one characteristic of two patients
            if codes[i, c] == codes[j, c]:
                continue
            codes[i, c], codes[j, c] = codes[j, c], codes[i, c]
            for b in range(count):
                def_block[b] = _uses(b, blocks, c, included, term_of_covariate, group_uses)
        elif move < 0.50:  # swap two patients' characteristics
            what = 1
            if i == j:
                continue
            for d in range(covariates):
                codes[i, d], codes[j, d] = codes[j, d], codes[i, d]
            for b in range(count):
                def_block[b] = blocks[b, 0] != 2
        elif move < 0.75:  # move a time between its neighbours: no risk set changes
            what = 2
            below = time[i - 1] if i > 0 else shortest
            above = time[i + 1] if i < n - 1 else longest
            time[i] = below + (above - below) * (0.001 + 0.998 * stream.random())
            for b in range(count):
                def_block[b] = blocks[b, 0] != 0
        elif move < 0.88:  # swap an event with a censoring
            what = 3
            if event[i] == event[j]:
                continue
            event[i], event[j] = event[j], event[i]
        elif move < 0.94:  # an event more or less
            what = 4
            event[i] = not event[i]
        else:  # move a value of a numeric characteristic
            what = 5
            if not slots[c]:
                continue
            moved_slot = codes[i, c]
            term = -1
            for t in range(len(term_covariate)):
                if term_covariate[t] == c:
                    term = t
            if term < 0 or slot_high[c, moved_slot] <= slot_low[c, moved_slot]:
                continue
            old_value = values[term, moved_slot]
            width = slot_high[c, moved_slot] - slot_low[c, moved_slot]
            new = old_value + 0.2 * width * stream.standard_normal()
            if new < slot_low[c, moved_slot] or new > slot_high[c, moved_slot]:
                continue
            for t in range(len(term_covariate)):
                if term_covariate[t] == c:
                    values[t, moved_slot] = new
                    ratios[t, moved_slot] = math.exp(coefficient[t] * new)
            for b in range(count):
                def_block[b] = _uses(b, blocks, c, included, term_of_covariate, group_uses)
        # Costs are never negative: a move is rejected as soon as what is known of its cost exceeds what may be accepted.
        allowed = -temperature * math.log(1.0 - stream.random())
        change = 0.0
        for b in range(count):
            if def_block[b]:
                change -= cost[b]
        for b in range(count):
            if def_block[b]:
                proposed[b] = _block_cost(b, blocks, codes, time, event, model_start, term_covariate, values, ratios, included,
                    group_table, group_count, favourable, group_list, kind, target_term, definition, low, high, value, half,
                    tolerance, z)  # fmt: skip
                change += proposed[b]
                if change > allowed:
                    break
        if change <= allowed:
            total += change
            for b in range(count):
                if def_block[b]:
                    cost[b] = proposed[b]
            if total < 1e-12:
                break
        elif what == 0:
            codes[i, c], codes[j, c] = codes[j, c], codes[i, c]
        elif what == 1:
            for d in range(covariates):
                codes[i, d], codes[j, d] = codes[j, d], codes[i, d]
        elif what == 2:
            time[i] = old_time
        elif what == 3:
            event[i], event[j] = event[j], event[i]
        elif what == 4:
            event[i] = old_event
        else:
            for t in range(len(term_covariate)):
                if term_covariate[t] == c:
                    values[t, moved_slot] = old_value
                    ratios[t, moved_slot] = math.exp(coefficient[t] * old_value)
    return cost


@_jit
def _uses(block, blocks, covariate, included, term_of_covariate, group_uses):  # type: ignore[no-untyped-def]
    """Return whether a block of targets depends on a characteristic."""
    number = blocks[block, 1]
    if blocks[block, 0] == 0:
        return term_of_covariate[number, covariate]
    if blocks[block, 0] == 1:
        return group_uses[number, covariate]
    return False


@_jit
def _block_cost(  # type: ignore[no-untyped-def]
    b, blocks, codes, time, event, model_start, term_covariate, values, ratios, included, group_table, group_count, favourable,
    group_list, kind, target_term, definition, low, high, value, half, tolerance, z,
):  # fmt: skip
    what, number, first, last = blocks[b, 0], blocks[b, 1], blocks[b, 2], blocks[b, 3]
    if what == 0:
        return _model_cost(number, codes, event, model_start, term_covariate, values, ratios, included, kind, target_term, value,
            tolerance, first, last)  # fmt: skip
    if what == 1:
        return _group_cost(number, codes, time, event, group_table, group_count, favourable, group_list, kind, low, high,
            value, half, tolerance, z, first, last)  # fmt: skip
    return _follow_cost(time, event, kind, definition, low, high, value, tolerance, first, last)
