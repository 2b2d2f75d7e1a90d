"""`TrialDesign`: one complete design, as TRIAL.toml says it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from sitewise.problems import Problems, TrialError, nearest
from sitewise.records import Record, plain, read_record, read_toml, record_hash, tidied
from sitewise.trial.plan.accrual import Accrual, FollowUp
from sitewise.trial.plan.analysis import AnalysisPlan
from sitewise.trial.plan.arms import Arms
from sitewise.trial.plan.cohorts import BenchmarkPlan, BorrowingPlan
from sitewise.trial.plan.criteria import ALL, Criterion
from sitewise.trial.plan.looks import Look, check_looks
from sitewise.trial.plan.scenarios import TrialScenario
from sitewise.trial.plan.several_arms import check_arms, check_calibration
from sitewise.trial.plan.simulation import CalibrationPlan, Costs, SimulationPlan
from sitewise.trial.plan.truth import TruthPlan

CLASSICAL = ("log-rank", "cox")


@dataclass(frozen=True)
class TrialDesign(Record):
    """A trial: what is true, what is done, what is decided."""

    id: str
    """Short name."""
    title: str
    """A sentence that says what the trial asks."""
    truth: TruthPlan
    """The design prior: what is taken as true."""
    arms: Arms
    """Patients and allocation."""
    accrual: Accrual
    """Sites and rates."""
    follow_up: FollowUp
    """Follow-up."""
    look: tuple[Look, ...]
    """Looks in their order; the last is final."""
    criterion: tuple[Criterion, ...]
    """Criteria of success and of futility."""
    analysis: AnalysisPlan = field(default_factory=AnalysisPlan)
    """The analysis with its own priors."""
    benchmark: BenchmarkPlan | None = None
    """Cohort that a single arm is held against."""
    borrowing: BorrowingPlan | None = None
    """Cohort that an arm borrows from."""
    scenario: tuple[TrialScenario, ...] = ()
    """Worlds besides the planned one; a null is always among those that are run."""
    simulation: SimulationPlan = field(default_factory=SimulationPlan)
    """Size and seed."""
    calibration: CalibrationPlan | None = None
    """A threshold that is found instead of stated."""
    costs: Costs | None = None
    """What a trial costs."""
    time_unit: str = "months"
    """Unit of all times."""
    justification: dict[str, str] = field(default_factory=dict)
    """Why, in sentences by topic, for the report: priors, thresholds, accrual."""

    def __post_init__(self) -> None:
        problems = tidied(self, TrialError, f"Trial '{self.id}'")
        if not self.id.strip():
            problems.add("id", "is empty")
        check_looks(self.look, patients=self.arms.patients, close=self.follow_up.close, problems=problems)
        self._check_criteria(problems)
        self._check_cohorts(problems)
        self._check_scenarios(problems)
        check_arms(self, problems)
        check_calibration(self, problems)
        self._check_groups(problems)
        if self.accrual.cap is not None and self.accrual.cap * self.accrual.sites < self.arms.patients:
            most = self.accrual.cap * self.accrual.sites
            problems.add("accrual cap", f"allows {most} patients at all sites together; the trial wants {self.arms.patients}")
        if self.accrual.openings.max() >= self.follow_up.close:
            problems.add("accrual", f"opens a site after the trial closes at {self.follow_up.close:g}")
        problems.raise_if_any(TrialError, f"Trial '{self.id}'")

    def _check_criteria(self, problems: Problems) -> None:
        names = [item.name for item in self.criterion]
        looks = [look.name for look in self.look]
        if not any(item.role == "success" for item in self.criterion):
            problems.add("criterion", "has no criterion of success", "Say what makes the trial a success.")
        for item in self.criterion:
            where = f"criterion '{item.name}'"
            if names.count(item.name) > 1:
                problems.add(where, "has the name of another")
            for unknown in (look for look in item.looks if look not in looks):
                problems.add(where, f"names look '{unknown}'", nearest(unknown, looks))
            if item.at is not None:
                self._check_horizon(item.at, where, problems)
            if item.against == "control" and not self.arms.randomised:
                problems.add(
                    where, "compares with a control arm, and the trial has none", "Use against = 'benchmark' or 'value'."
                )
            needs = item.against == "benchmark" or (item.estimand == "hazard_ratio" and not self.arms.randomised)
            if needs and not item.predictive and self.benchmark is None:
                problems.add(where, "compares with a benchmark, and there is none", "Add a table [benchmark].")
            if item.estimand != "hazard_ratio" and self.analysis.method in CLASSICAL and not item.predictive:
                problems.add(where, f"is about {item.estimand}, and {self.analysis.method} tests hazards only")
            if item.role == "futility" and looks and (item.looks == (looks[-1],) or (not item.looks and len(looks) == 1)):
                problems.add(where, "counts at the last look only, after which nothing can stop")

    def _check_horizon(self, at: float, where: str, problems: Problems) -> None:
        longest = self.follow_up.longest
        if longest is not None and at > longest:
            problems.add(where, f"is about time {at:g}, and patients are followed for {longest:g} at most")
        elif at >= self.follow_up.close:
            what = f"is about time {at:g}, and the trial closes at {self.follow_up.close:g}: nobody is followed so long"
            problems.add(where, what)
        last = self.look[-1].when.simple if self.look else None
        if last is not None and last[0] == "calendar" and at >= last[1]:
            problems.add(where, f"is about time {at:g}, and the last look is at {last[1]:g}: nobody has been followed so long")

    def _check_cohorts(self, problems: Problems) -> None:
        if self.borrowing is not None:
            if not self.arms.randomised:
                problems.add("borrowing", "is of randomised trials; a single arm has a benchmark instead")
            if self.analysis.method != "conjugate":
                problems.add(
                    "borrowing", f"goes with the analysis 'conjugate', not '{self.analysis.method}'", "Change analysis.method."
                )
            same = bool(self.borrowing.draws) and self.borrowing.draws == self.truth.draws
            same = same or (bool(self.borrowing.fit) and self.borrowing.fit == self.truth.fit)
            if same and self.borrowing.arm != self.truth.cohort_arm:
                problems.add(
                    "borrowing arm",
                    f"is '{self.borrowing.arm}', and the cohort's patients were treated as the {self.truth.cohort_arm} arm",
                    "They are no history of the other arm.",
                )
        if self.benchmark is not None and self.arms.randomised:
            problems.add("benchmark", "is of single-arm trials; this one has a control arm")

    def _check_scenarios(self, problems: Problems) -> None:
        names = [item.name for item in self.scenario]
        criteria = [item.name for item in self.criterion]
        for item in self.scenario:
            where = f"scenario '{item.name}'"
            if names.count(item.name) > 1:
                problems.add(where, "has the name of another")
            if item.at_bound and item.at_bound not in criteria:
                problems.add(where, f"names criterion '{item.at_bound}'", nearest(item.at_bound, criteria))
            for criterion in self.criterion:
                if item.at_bound == criterion.name and criterion.predictive:
                    problems.add(where, f"names criterion '{criterion.name}', which is predictive and has no bound")
            if item.at_bound and item.hazard_ratio is not None:
                problems.add(where, "has hazard_ratio beside at_bound, which sets hazards by itself", "Give one of them.")
            if item.name == "null" and not item.null:
                problems.add(where, "is no null", "Call it otherwise: 'null' is the name of the null that is always run.")

    def _check_groups(self, problems: Problems) -> None:
        """Check names of risk groups where the file itself says which there are."""
        if self.truth.point is None:
            return
        known = [item.name for item in self.truth.point.group]
        used: dict[str, tuple[str, ...]] = {
            f"criterion '{item.name}' group": (item.group,) for item in self.criterion if item.group != ALL
        }
        used |= {"arms enrich": self.arms.enrich, "truth case_mix": tuple(self.truth.case_mix)}
        for where, names in used.items():
            for name in names:
                if name not in known:
                    problems.add(where, f"names risk group '{name}'", nearest(name, known))

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], /, *, subject: str = "The trial") -> Self:
        """Return the design of parsed TOML or JSON.

        Raises
        ------
        TrialError
            Naming every problem by its place.
        """
        return read_record(cls, content, TrialError, subject=subject)

    @property
    def hash(self) -> str:
        """SHA-256 of the design's content: its identity in every output."""
        return record_hash(self)

    def changed(self, changes: Mapping[str, Any], /) -> Self:
        """Return the design with only these changes.

        Parameters
        ----------
        changes : mapping of str to value
            By place, such as ``{"arms.patients": 150, "accrual.sites": 10}``; items of lists by their names:
            ``"look.final.when.events"``.

        Raises
        ------
        TrialError
            When a place does not exist, or the changed design is not possible.
        """
        # With defaults: a table that is at its default keeps the rest of it when one of its keys changes.
        content = plain(asdict(self))
        for place, value in changes.items():
            _set(content, place.split("."), value, place)
        return self.from_dict(content, subject=f"Trial '{self.id}' with {', '.join(changes)} changed")


def _set(content: Any, keys: list[str], value: Any, place: str) -> None:
    for position, key in enumerate(keys):
        last = position == len(keys) - 1
        if isinstance(content, list):
            found = [item for item in content if isinstance(item, dict) and item.get("name") == key]
            if not found:
                known = [str(item.get("name")) for item in content if isinstance(item, dict)]
                raise TrialError(f"'{place}' names no place of the design: there is no '{key}'. {nearest(key, known)}")
            if last:
                raise TrialError(f"'{place}' is a table; name one of its keys.")
            content = found[0]
        elif last:
            content[key] = value
        else:
            if content.get(key) is None:
                content[key] = {}
            content = content[key]
            if not isinstance(content, dict | list):
                raise TrialError(f"'{place}' names no place of the design: '{key}' is a value, not a table.")


def read_design(path: str | Path, /) -> TrialDesign:
    """Return the design of a TRIAL.toml.

    Raises
    ------
    TrialError
        Naming every problem by its place.
    """
    return TrialDesign.from_dict(read_toml(path, TrialError), subject=Path(path).name)
