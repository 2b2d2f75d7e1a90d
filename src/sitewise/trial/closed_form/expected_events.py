"""Expected events and dropouts of a group at a calendar time, and when a number of events is expected.

A patient who enters at u is watched until the event, dropout, a longest follow-up f or the calendar time T. With A(t)
patients enrolled by t, survival S and a dropout hazard d, the expected events are the integral over the time since entry
s < min(T, f) of A(T - s) exp(-d s) dF(s) (Lachin & Foulkes 1986, Biometrics 42:507, for uniform entry).
"""

from __future__ import annotations

import math
from collections.abc import Callable

from scipy.optimize import brentq

from sitewise.problems import TrialError
from sitewise.trial.closed_form.checks import longest, not_negative, positive
from sitewise.trial.closed_form.enrolment import Enrolment
from sitewise.trial.closed_form.event_times import EventTimes, survival
from sitewise.trial.closed_form.quadrature import integral

SMALL = 1e-3


def exponential_expected_events(
    hazard: float, *, at: float, enrolment: Enrolment, dropout_hazard: float = 0.0, longest_follow_up: float = math.inf
) -> float:
    """Return the expected events with a constant hazard, exactly.

    The piece of enrolment from a to b at rate c adds c (K(T - a) - K(T - b)), where K(w) integrates
    h / (h + d) (1 - exp(-(h + d) min(x, f))) over x < w.

    Parameters
    ----------
    hazard : float
        Events per patient and unit of time.
    at : float
        Calendar time from the start of enrolment; it may lie before the end of enrolment.
    enrolment : Enrolment
        Who enters when.
    dropout_hazard : float
        Dropouts per patient and unit of time.
    longest_follow_up : float
        Follow-up after which a patient is censored; infinite without such a limit.
    """
    total = positive("hazard", hazard) + not_negative("dropout_hazard", dropout_hazard)
    limit, time = longest("longest_follow_up", longest_follow_up), positive("at", at)

    def events_of_ages(age: float) -> float:
        if age <= 0:
            return 0.0
        within = total * min(age, limit)
        over = (age - limit) * -math.expm1(-within) if age > limit else 0.0
        return hazard / total * (_exponential_excess(within) / total + over)

    edges = enrolment.changes
    pieces = zip(enrolment.rates, edges[:-1], edges[1:], strict=True)
    return sum(rate * (events_of_ages(time - start) - events_of_ages(time - end)) for rate, start, end in pieces)


def _exponential_excess(x: float) -> float:
    """Return x - (1 - exp(-x)), which cancels when x is small: there by its series."""
    if x < SMALL:
        return x * x / 2 * (1 - x / 3 * (1 - x / 4 * (1 - x / 5 * (1 - x / 6))))
    return x + math.expm1(-x)


def expected_events(
    times: EventTimes, *, at: float, enrolment: Enrolment, dropout_hazard: float = 0.0, longest_follow_up: float = math.inf
) -> float:
    """Return the expected events for any distribution of times, by quadrature to eight digits.

    Parameters are those of :func:`exponential_expected_events`, with ``times`` since entry in place of the hazard.
    The integral is taken by parts, so that it needs the survival function only and no hazard that may be infinite at 0.
    """
    time, dropout = positive("at", at), not_negative("dropout_hazard", dropout_hazard)
    end = min(time, longest("longest_follow_up", longest_follow_up))

    def by_parts(age: float) -> float:
        entered = dropout * enrolment.enrolled(time - age) + enrolment.rate(time - age)
        return -math.expm1(-times.cumulative_hazard(age)) * math.exp(-dropout * age) * entered

    rest = -math.expm1(-times.cumulative_hazard(end)) * math.exp(-dropout * end) * enrolment.enrolled(time - end)
    return rest + integral(by_parts, end, breaks=ages_of_change(times, enrolment, time))


def expected_dropouts(
    times: EventTimes, *, at: float, enrolment: Enrolment, dropout_hazard: float, longest_follow_up: float = math.inf
) -> float:
    """Return the expected dropouts: the integral of d A(T - s) exp(-d s) S(s) over s < min(T, f)."""
    time, dropout = positive("at", at), not_negative("dropout_hazard", dropout_hazard)
    end = min(time, longest("longest_follow_up", longest_follow_up))
    if dropout == 0:
        return 0.0

    def density(age: float) -> float:
        return dropout * enrolment.enrolled(time - age) * math.exp(-dropout * age) * survival(times, age)

    return integral(density, end, breaks=ages_of_change(times, enrolment, time))


def ages_of_change(times: EventTimes, enrolment: Enrolment, at: float) -> tuple[float, ...]:
    """Return the times since entry at which a hazard jumps or, seen from calendar time ``at``, enrolment does."""
    return (*times.changes, *(at - edge for edge in enrolment.changes))


def time_of_events(events: float, expected_at: Callable[[float], float], *, latest: float) -> float:
    """Return the calendar time at which ``events`` are expected.

    Parameters
    ----------
    events : float
        Number of events.
    expected_at : callable
        Expected events at a calendar time; rising.
    latest : float
        Latest calendar time that counts.

    Raises
    ------
    TrialError
        When fewer events are expected even at ``latest``; the message says how many.
    """
    wanted, last = positive("events", events), positive("latest", latest)
    most = expected_at(last)
    if most < wanted:
        raise TrialError(
            f"{wanted:g} events are never expected: by the latest time {last:g} only {most:.4g} are. "
            "Enrol more patients, follow them for longer, or ask for fewer events."
        )
    first = last
    while expected_at(first / 2) > wanted:
        first /= 2
    return float(brentq(lambda time: expected_at(time) - wanted, first / 2, last, xtol=1e-10, rtol=1e-12))
