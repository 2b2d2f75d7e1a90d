"""How likely a cohort is under the process that it was begun from; compiled.

Numbers of a paper can be met in many ways. Moves are therefore also judged by the log density of outcomes given
characteristics and sites, and by how characteristics go together, so that a cohort is not bent towards the printed numbers
where nothing is printed. Baseline and censoring come as tables over log time since the guarantee time, between which is
interpolated: any family.
"""

from __future__ import annotations

import math

from sitewise.classical.compiled import compiled

LOG_HAZARD, CUMULATIVE, LOG_CENSORING, LOG_UNCENSORED = range(4)
IMPOSSIBLE = -1e30


@compiled
def outcome(i, codes, time, event, effect, frailty, start, grid, tables):  # type: ignore[no-untyped-def]
    """Return the log density of a patient's time and event: hazard and survival, and those of the end of follow-up."""
    since = time[i] - start
    if since <= 0:
        return IMPOSSIBLE
    place = (math.log(since) - grid[0]) / grid[1]
    last = tables.shape[1] - 2
    k = int(min(max(place, 0.0), float(last)))
    share = place - k
    log_hazard_ratio = frailty[i]
    for c in range(codes.shape[1]):
        log_hazard_ratio += effect[c, codes[i, c]]
    own = tables[CUMULATIVE, k] + share * (tables[CUMULATIVE, k + 1] - tables[CUMULATIVE, k])
    found = -math.exp(own + log_hazard_ratio)
    if event[i]:
        found += log_hazard_ratio + tables[LOG_HAZARD, k] + share * (tables[LOG_HAZARD, k + 1] - tables[LOG_HAZARD, k])
        return found + tables[LOG_UNCENSORED, k] + share * (tables[LOG_UNCENSORED, k + 1] - tables[LOG_UNCENSORED, k])
    return found + tables[LOG_CENSORING, k] + share * (tables[LOG_CENSORING, k + 1] - tables[LOG_CENSORING, k])


@compiled
def together(i, c, codes, numeric, pairs):  # type: ignore[no-untyped-def]
    """Return how much likelier a patient's level of a characteristic is, given the others pair by pair, than by itself."""
    found = 0.0
    if numeric[c]:
        return found
    for d in range(codes.shape[1]):
        if d != c and not numeric[d]:
            found += pairs[c, d, codes[i, c], codes[i, d]]
    return found


__all__ = ["IMPOSSIBLE", "outcome", "together"]
