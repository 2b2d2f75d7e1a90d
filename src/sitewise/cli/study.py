"""`study.toml`: what to analyse, in one file; see the README for every key.

Every key is optional. An unknown key or a wrong type is an error that names the nearest known key, and all such errors are
shown at once.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from sitewise.cli.study_schema import TABLES, check_table
from sitewise.names import HAZARD_RATIO
from sitewise.problems import Problems, StudyError, nearest

if TYPE_CHECKING:
    from sitewise.cohort import Cohort
    from sitewise.estimands import RiskGroups
    from sitewise.models import ModelSpec


@dataclass(frozen=True)
class Study:
    """A study file, checked; see :func:`read_study`.

    Parameters
    ----------
    data, covariates, model, priors, sampler, report, sbc : mapping
        The tables of the file.
    """

    data: Mapping[str, Any] = field(default_factory=dict)
    covariates: Mapping[str, Any] = field(default_factory=dict)
    model: Mapping[str, Any] = field(default_factory=dict)
    priors: Mapping[str, Any] = field(default_factory=dict)
    sampler: Mapping[str, Any] = field(default_factory=dict)
    report: Mapping[str, Any] = field(default_factory=dict)
    sbc: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], where: str = "The study") -> Self:
        """Return the study of parsed TOML.

        Raises
        ------
        StudyError
            Naming every unknown key and wrong type.
        """
        problems = Problems()
        for name, table in content.items():
            if name not in TABLES:
                problems.add(f"[{name}]", "is no table of a study", nearest(name, TABLES))
            elif not isinstance(table, Mapping):
                problems.add(f"[{name}]", f"must be a table; it is {table!r}")
            else:
                check_table(name, table, problems)
        problems.raise_if_any(StudyError, where)
        return cls(**{name: dict(table) for name, table in content.items()})

    def with_formula(self, formula: str) -> Study:
        """Return the study with another formula (a flag wins over the file)."""
        return replace(self, model={**self.model, "formula": formula})

    def spec(self) -> ModelSpec:
        """Return the model.

        Raises
        ------
        StudyError
            When there is no formula.
        """
        from sitewise.models import FixedSites, ModelSpec, NoSites, Priors, RandomSites
        from sitewise.models.named_family import family_by_name

        if "formula" not in self.model:
            raise StudyError("There is no model: give --model, or formula in [model] of the study file.")
        metric = self.model.get("metric", HAZARD_RATIO)
        guarantee_time = float(self.model.get("guarantee_time", 0.0))
        kinds: dict[str, Any] = {
            "random": RandomSites(),
            "random-centred": RandomSites(centred=True),
            "fixed": FixedSites(),
            "none": NoSites(),
        }
        return ModelSpec.from_formula(
            self.model["formula"],
            family=family_by_name(self.model.get("family", "weibull"), self.model.get("family_options")),
            metric=metric,
            guarantee_time=guarantee_time,
            priors=Priors.from_dict(self.priors, metric=metric, guarantee_time=guarantee_time),
            sites=kinds[self.model["sites"]] if "sites" in self.model else None,
            shape=self.model.get("shape"),
        )

    def cohort(self, path: str | Path, spec: ModelSpec) -> Cohort:
        """Return the cohort in ``path``, with the columns that the formula uses."""
        from sitewise.cohort import Cohort, Recode, read_table
        from sitewise.models.formula import response_columns

        data = dict(self.data)
        roles = ("time", "event", "lower", "upper", "entry")
        times = {**response_columns(spec.response), **{role: data[role] for role in roles if role in data}}
        site = data.get("site", spec.group)
        recode = {
            name: Recode(item["column"], {str(level): values for level, values in item["levels"].items()})
            for name, item in data.get("recode", {}).items()
        }
        factors = {**self.covariates.get("favourable", {}), **self.covariates.get("unfavourable", {})}
        covariates = list(dict.fromkeys([*spec.variables, *factors]))
        reference = self.covariates.get("reference", {})
        frame = read_table(path)
        undeclared = [name for name in factors if name not in recode and name not in reference and name in frame.columns]
        levels = {
            **{name: _levels_of(frame[name]) for name in undeclared},
            **self.covariates.get("levels", {}),
        }
        return Cohort.from_frame(
            frame,
            **times,
            site=site,
            weights=data.get("weights"),
            id=data.get("id"),
            event_level=data.get("event_level"),
            time_unit=data.get("time_unit", "months"),
            covariates=covariates,
            recode=recode,
            levels=levels,
            reference=reference,
            missing=data.get("missing", "refuse"),
            zero_times=data.get("zero_times", "refuse"),
            min_sites=2 if spec.has_sites else 1,
            source=data.get("source", f"patients of {Path(path).name}"),
        )

    def risk_groups(self, cohort: Cohort, spec: ModelSpec) -> RiskGroups:
        """Return the risk groups: counts of factors where the study names them, else all and each level."""
        from sitewise.estimands import RiskGroups

        if self.covariates.get("favourable"):
            return RiskGroups.count_favourable(self.covariates["favourable"])
        if self.covariates.get("unfavourable"):
            return RiskGroups.count_unfavourable(self.covariates["unfavourable"])
        return RiskGroups.default(cohort, spec.variables)


def read_study(path: str | Path) -> Study:
    """Read a study file.

    Raises
    ------
    StudyError
        When the file is absent, is no TOML, or has unknown keys or wrong types.
    """
    path = Path(path)
    if not path.is_file():
        raise StudyError(f"There is no file {path}.")
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise StudyError(f"{path.name} is not valid TOML: {error}") from error
    return Study.from_dict(content, where=path.name)


def _levels_of(values: Any) -> tuple[str, ...]:
    from sitewise.cohort.levels import labels, natural_order

    return natural_order(labels(values).dropna())
