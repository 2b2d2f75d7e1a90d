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

from sitewise.cli.study_schema import SITE_OPTIONS, TABLES, check_table
from sitewise.names import HAZARD_RATIO
from sitewise.problems import Problems, StudyError, listed, nearest

if TYPE_CHECKING:
    from sitewise.cohort import Cohort
    from sitewise.estimands import RiskGroups
    from sitewise.models import ModelSpec
    from sitewise.models.site_effects import SiteEffect


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
        from sitewise.models import ModelSpec, Priors
        from sitewise.models.family_options import family_by_name

        if "formula" not in self.model:
            raise StudyError("There is no model: give --model, or formula in [model] of the study file.")
        metric = self.model.get("metric", HAZARD_RATIO)
        guarantee_time = float(self.model.get("guarantee_time", 0.0))
        sites = self._sites()
        return ModelSpec.from_formula(
            self.model["formula"],
            family=family_by_name(self.model.get("family", "weibull"), self.model.get("family_options")),
            metric=metric,
            guarantee_time=guarantee_time,
            priors=Priors.from_dict(self.priors, metric=metric, guarantee_time=guarantee_time, sites=sites),
            sites=sites,
            shape=self.model.get("shape"),
        )

    def _sites(self) -> SiteEffect | None:
        """Return how sites enter; None where the formula alone says it."""
        from sitewise.models import FixedSites, NoSites, RandomSites

        kinds: dict[str, Any] = {
            "random": RandomSites(),
            "random-centred": RandomSites(centred=True),
            "fixed": FixedSites(),
            "none": NoSites(),
        }
        given = {field: self.model[key] for key, field in SITE_OPTIONS.items() if key in self.model}
        kind = self.model.get("sites")
        if not given:
            return kinds[kind] if kind is not None else None
        if kind in ("fixed", "none"):
            told = listed([key for key in SITE_OPTIONS if key in self.model])
            raise StudyError(f"[model]: {told} is about random sites, and sites is '{kind}'. Remove one of them.")
        if given.get("degrees_of_freedom") == "prior":
            given["degrees_of_freedom"] = None
        made: RandomSites = replace(kinds[kind or "random"], **given)
        return made

    def cohort(self, path: str | Path, spec: ModelSpec) -> Cohort:
        """Return the cohort in ``path``, with the columns that the formula uses."""
        from sitewise.cohort import Cohort, Recode, read_table, with_site_means
        from sitewise.cohort.site_means import is_site_mean
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
        site_means = data.get("site_means", [])
        own = [name for name in spec.variables if not is_site_mean(name, site_means)]
        covariates = list(dict.fromkeys([*own, *site_means, *spec.groupings, *factors]))
        reference = self.covariates.get("reference", {})
        frame = read_table(path)
        categories = dict.fromkeys([*factors, *spec.groupings])
        undeclared = [name for name in categories if name not in recode and name not in reference and name in frame.columns]
        levels = {
            **{name: _levels_of(frame[name]) for name in undeclared},
            **self.covariates.get("levels", {}),
        }
        cohort = Cohort.from_frame(
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
            missing={"impute": "keep"}.get(data.get("missing", ""), data.get("missing", "refuse")),
            zero_times=data.get("zero_times", "refuse"),
            min_sites=2 if spec.has_sites else 1,
            source=data.get("source", f"patients of {Path(path).name}"),
        )
        return with_site_means(cohort, site_means) if site_means else cohort

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
