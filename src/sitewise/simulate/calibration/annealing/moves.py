"""The moves of a reconstruction, compiled: characteristics, sites and outcomes are swapped, times and events moved."""

from __future__ import annotations

import math

import numpy as np

from sitewise.classical.compiled import compiled
from sitewise.simulate.calibration.annealing.costs import block_cost
from sitewise.simulate.calibration.annealing.process import outcome, together


@compiled
def anneal(  # type: ignore[no-untyped-def]
    stream, steps, hot, cold, codes, time, event, shortest, longest, model_start, term_covariate, values, ratios, included,
    term_of_covariate, slots, slot_low, slot_high, coefficient, group_table, group_count, favourable, group_list,
    group_uses, blocks, kind, target_term, definition, low, high, value, half, tolerance, z,
    site, frailty, effect, slope, pairs, start, grid, tables,
):  # fmt: skip
    """Move a cohort until its statistics are the published ones; arrays are changed in place.

    ``blocks`` has a row a set of targets that is judged together: what it is (0 model, 1 group, 2 follow-up), its number,
    and its first and last target. ``slots[c]`` says whether covariate c is numeric: its codes are then places of values that
    may move between ``slot_low`` and ``slot_high``. ``site``, ``frailty``, ``effect``, ``slope``,
    ``pairs``, ``start``, ``grid`` and ``tables`` are the process. A move is accepted by the change of cost over temperature,
    less the change of the process's log density: cooled, the cohort is a draw from the process that has the published numbers.
    Returns the cost of each block.
    """
    n, covariates = codes.shape
    count = len(blocks)
    cost, proposed = np.zeros(count), np.zeros(count)

    affected, order, scratch = np.zeros(count, dtype=np.bool_), np.arange(count), np.empty((4, n))
    for b in range(count):
        cost[b] = block_cost(b, blocks, codes, time, event, model_start, term_covariate, values, ratios, included,
            group_table, group_count, favourable, group_list, kind, target_term, definition, low, high, value, half,
            tolerance, z, scratch)  # fmt: skip
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
        old_time, old_event, moved_slot, old_value, term = time[i], event[i], -1, 0.0, -1
        what = 0
        # A swap with oneself changes nothing, nor does one of equals; what is asked first costs least.
        if move < 0.38:  # swap one characteristic of two patients
            if i == j or codes[i, c] == codes[j, c]:
                continue
        elif move < 0.47:  # swap two patients' characteristics
            what = 1
            if i == j:
                continue
        elif move < 0.72:  # move a time between its neighbours: no risk set changes
            what = 2
        elif move < 0.84:  # swap an event with a censoring
            what = 3
            if event[i] == event[j]:
                continue
        elif move < 0.90:  # an event more or less
            what = 4
        elif move < 0.95:  # move a value of a numeric characteristic
            what = 5
            if not slots[c]:
                continue
            moved_slot = codes[i, c]
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
        else:  # swap two patients' sites
            what = 6
            if site[i] == site[j]:
                continue
        both = what in (0, 1, 3, 6)
        gain = -outcome(i, codes, time, event, effect, frailty, start, grid, tables)
        if both:
            gain -= outcome(j, codes, time, event, effect, frailty, start, grid, tables)
        if what == 0:
            gain -= together(i, c, codes, slots, pairs) + together(j, c, codes, slots, pairs)
            codes[i, c], codes[j, c] = codes[j, c], codes[i, c]
            gain += together(i, c, codes, slots, pairs) + together(j, c, codes, slots, pairs)
        elif what == 1:
            for d in range(covariates):
                codes[i, d], codes[j, d] = codes[j, d], codes[i, d]
        elif what == 2:
            below = time[i - 1] if i > 0 else shortest
            above = time[i + 1] if i < n - 1 else longest
            time[i] = below + (above - below) * (0.001 + 0.998 * stream.random())
        elif what == 3:
            event[i], event[j] = event[j], event[i]
        elif what == 4:
            event[i] = not event[i]
        elif what == 5:
            for t in range(len(term_covariate)):
                if term_covariate[t] == c:
                    values[t, moved_slot] = new
                    ratios[t, moved_slot] = math.exp(coefficient[t] * new)
            effect[c, moved_slot] += slope[c] * (new - old_value)
        else:
            site[i], site[j] = site[j], site[i]
            frailty[i], frailty[j] = frailty[j], frailty[i]
        gain += outcome(i, codes, time, event, effect, frailty, start, grid, tables)
        if both:
            gain += outcome(j, codes, time, event, effect, frailty, start, grid, tables)
        for b in range(count):
            if what == 0 or what == 5:
                affected[b] = _uses(b, blocks, c, included, term_of_covariate, group_uses)
            elif what == 1:
                affected[b] = blocks[b, 0] != 2
            elif what == 2:
                affected[b] = blocks[b, 0] != 0
            else:
                affected[b] = what != 6
        # Costs are never negative: a move is rejected as soon as what is known of its cost exceeds what may be accepted.
        allowed = temperature * (gain - math.log(1.0 - stream.random()))
        change = 0.0
        for b in range(count):
            if affected[b]:
                change -= cost[b]
        for place in range(count):
            b = order[place]
            if affected[b]:
                proposed[b] = block_cost(b, blocks, codes, time, event, model_start, term_covariate, values, ratios,
                    included, group_table, group_count, favourable, group_list, kind, target_term, definition, low, high,
                    value, half, tolerance, z, scratch)  # fmt: skip
                change += proposed[b]
                if change > allowed:
                    if place > 0:  # what rejects often is asked early
                        order[place], order[place - 1] = order[place - 1], b
                    break
        if change <= allowed:
            for b in range(count):
                if affected[b]:
                    cost[b] = proposed[b]
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
        elif what == 5:
            for t in range(len(term_covariate)):
                if term_covariate[t] == c:
                    values[t, moved_slot] = old_value
                    ratios[t, moved_slot] = math.exp(coefficient[t] * old_value)
            effect[c, moved_slot] -= slope[c] * (new - old_value)
        else:
            site[i], site[j] = site[j], site[i]
            frailty[i], frailty[j] = frailty[j], frailty[i]
    return cost


@compiled
def _uses(block, blocks, covariate, included, term_of_covariate, group_uses):  # type: ignore[no-untyped-def]
    """Return whether a block of targets depends on a characteristic."""
    number = blocks[block, 1]
    if blocks[block, 0] == 0:
        return term_of_covariate[number, covariate]
    if blocks[block, 0] == 1:
        return group_uses[number, covariate]
    return False
