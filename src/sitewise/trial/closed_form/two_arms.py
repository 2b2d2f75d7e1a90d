"""A trial of two arms as the formulas see it, and its expected events."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from sitewise.trial.closed_form.checks import longest, not_negative, positive
from sitewise.trial.closed_form.enrolment import Enrolment
from sitewise.trial.closed_form.event_times import EventTimes
from sitewise.trial.closed_form.expected_events import expected_dropouts, expected_events, time_of_events


@dataclass(frozen=True)
class TwoArms:
    """Two randomised arms.

    Parameters
    ----------
    control, experimental : EventTimes
        Times since entry to the event.
    enrolment : Enrolment
        Of both arms together.
    allocation : float
        Patients of the experimental arm for each control patient.
    control_dropout_hazard, experimental_dropout_hazard : float
        Dropouts per patient and unit of time.
    longest_follow_up : float
        Follow-up after which a patient is censored; infinite without such a limit.
    """

    control: EventTimes
    experimental: EventTimes
    enrolment: Enrolment
    allocation: float = 1.0
    control_dropout_hazard: float = 0.0
    experimental_dropout_hazard: float = 0.0
    longest_follow_up: float = math.inf

    def __post_init__(self) -> None:
        positive("allocation", self.allocation)
        not_negative("control_dropout_hazard", self.control_dropout_hazard)
        not_negative("experimental_dropout_hazard", self.experimental_dropout_hazard)
        longest("longest_follow_up", self.longest_follow_up)

    @property
    def control_share(self) -> float:
        """Share of the patients in the control arm."""
        return 1 / (1 + self.allocation)

    @property
    def experimental_share(self) -> float:
        """Share of the patients in the experimental arm."""
        return self.allocation / (1 + self.allocation)

    def with_patients(self, patients: float) -> TwoArms:
        """Return the same trial with ``patients`` enrolled over the same time."""
        return replace(self, enrolment=self.enrolment.scaled(patients))


@dataclass(frozen=True)
class ArmCounts:
    """Expected numbers of the two arms at one calendar time."""

    control: float
    experimental: float

    @property
    def total(self) -> float:
        """Both arms together."""
        return self.control + self.experimental


def events_of_arms(design: TwoArms, *, at: float) -> ArmCounts:
    """Return the expected events of the two arms at calendar time ``at``."""
    control = expected_events(
        design.control,
        at=at,
        enrolment=design.enrolment,
        dropout_hazard=design.control_dropout_hazard,
        longest_follow_up=design.longest_follow_up,
    )
    experimental = expected_events(
        design.experimental,
        at=at,
        enrolment=design.enrolment,
        dropout_hazard=design.experimental_dropout_hazard,
        longest_follow_up=design.longest_follow_up,
    )
    return ArmCounts(design.control_share * control, design.experimental_share * experimental)


def dropouts_of_arms(design: TwoArms, *, at: float) -> ArmCounts:
    """Return the expected dropouts of the two arms at calendar time ``at``."""
    control = expected_dropouts(
        design.control,
        at=at,
        enrolment=design.enrolment,
        dropout_hazard=design.control_dropout_hazard,
        longest_follow_up=design.longest_follow_up,
    )
    experimental = expected_dropouts(
        design.experimental,
        at=at,
        enrolment=design.enrolment,
        dropout_hazard=design.experimental_dropout_hazard,
        longest_follow_up=design.longest_follow_up,
    )
    return ArmCounts(design.control_share * control, design.experimental_share * experimental)


def time_of_events_of_arms(events: float, design: TwoArms, *, latest: float) -> float:
    """Return the calendar time at which ``events`` of both arms together are expected.

    Raises
    ------
    TrialError
        When fewer are expected even at ``latest``.
    """
    return time_of_events(events, lambda time: events_of_arms(design, at=time).total, latest=latest)
