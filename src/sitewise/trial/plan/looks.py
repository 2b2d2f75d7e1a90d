"""When the data are looked at: by events, calendar, enrolled patients, or all or any of several."""

from __future__ import annotations

from dataclasses import dataclass

from sitewise.problems import Problems, TrialError
from sitewise.records import Record, positive, tidied


@dataclass(frozen=True)
class Followed(Record):
    """Patients who have been in the trial for some time, events and losses included."""

    patients: int
    """How many."""
    time: float
    """Time since enrolment."""

    def __post_init__(self) -> None:
        problems = tidied(self, TrialError, "The trigger 'followed'")
        positive(problems, patients=self.patients)
        if self.time < 0:
            problems.add("time", f"must be zero or positive; it is {self.time:g}")
        problems.raise_if_any(TrialError, "The trigger 'followed'")


@dataclass(frozen=True)
class Trigger(Record):
    """What a look waits for: exactly one of the keys; of several, the last (all) or the first (any)."""

    events: int | None = None
    """Events seen in the whole trial."""
    calendar: float | None = None
    """Time since the first site opened."""
    enrolled: int | None = None
    """Patients enrolled."""
    followed: Followed | None = None
    """Patients who have been in the trial for some time."""
    all: tuple[Trigger, ...] = ()
    """Several of which all must have come."""
    any: tuple[Trigger, ...] = ()
    """Several of which one must have come."""

    def __post_init__(self) -> None:
        problems = tidied(self, TrialError, "The trigger")
        if len(self.given) != 1:
            said = ", ".join(self.given) or "nothing"
            problems.add("", f"must have one of events, calendar, enrolled, followed, all, any; it has {said}")
        positive(problems, events=self.events, calendar=self.calendar, enrolled=self.enrolled)
        problems.raise_if_any(TrialError, "The trigger")

    @property
    def given(self) -> dict[str, object]:
        """The keys that are given, with their values."""
        keys = {"events": self.events, "calendar": self.calendar, "enrolled": self.enrolled, "followed": self.followed}
        several = {"all": self.all, "any": self.any}
        return {name: value for name, value in keys.items() if value is not None} | {k: v for k, v in several.items() if v}

    @property
    def simple(self) -> tuple[str, float] | None:
        """The key and its number where it is one number, else none."""
        name, value = next(iter(self.given.items()))
        return (name, float(value)) if isinstance(value, int | float) else None

    @property
    def parts(self) -> tuple[Trigger, ...]:
        """The trigger and all that it is made of."""
        return (self, *(part for own in (*self.all, *self.any) for part in own.parts))


@dataclass(frozen=True)
class Look(Record):
    """One look at the data; the last one is final."""

    name: str
    """Name in tables."""
    when: Trigger
    """What it waits for."""

    def __post_init__(self) -> None:
        problems = tidied(self, TrialError, f"Look '{self.name}'")
        if not self.name.strip():
            problems.add("name", "is empty")
        problems.raise_if_any(TrialError, f"Look '{self.name}'")


def check_looks(looks: tuple[Look, ...], *, patients: int, close: float, problems: Problems) -> None:
    """Note looks that are out of order, called the same, or wait for what cannot come."""
    if not looks:
        problems.add("look", "is missing", "A trial has one look or more; the last is final.")
    names = [look.name for look in looks]
    for name in dict.fromkeys(names):
        if names.count(name) > 1:
            problems.add("look", f"'{name}' is the name of {names.count(name)} looks")
    before: dict[str, tuple[str, float]] = {}
    followed: tuple[str, Followed] | None = None
    for look in looks:
        where = f"look '{look.name}'"
        for part in look.when.parts:
            if part.events is not None and part.events > patients:
                problems.add(where, f"waits for {part.events} events of {patients} patients")
            if part.enrolled is not None and part.enrolled > patients:
                problems.add(where, f"waits for {part.enrolled} of {patients} patients")
            if part.followed is not None and part.followed.patients > patients:
                problems.add(where, f"waits for {part.followed.patients} followed of {patients} patients")
            if part.followed is not None and part.followed.time >= close:
                what = f"waits for patients followed for {part.followed.time:g}, and the trial closes at {close:g}"
                problems.add(where, what)
            if part.calendar is not None and part.calendar > close:
                problems.add(where, f"is at {part.calendar:g}, after the trial closes at {close:g}")
        own = look.when.followed
        if own is not None:
            if followed is not None and own.patients <= followed[1].patients and own.time <= followed[1].time:
                problems.add(where, f"is out of order: its followed patients and their time are not above look '{followed[0]}'")
            followed = (look.name, own)
        if look.when.simple is None:
            continue
        kind, value = look.when.simple
        if kind in before and value <= before[kind][1]:
            earlier = before[kind]
            problems.add(
                where, f"is out of order: its {kind} {value:g} are not above the {earlier[1]:g} of look '{earlier[0]}'"
            )
        before[kind] = (look.name, value)
