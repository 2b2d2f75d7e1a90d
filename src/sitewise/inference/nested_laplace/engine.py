"""The fast engine: hyperparameters on a grid, the rest by Laplace, weights that make it exact and say how well it went."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import xarray as xr

from sitewise import names
from sitewise.families.base import KINDS_OF_DATA
from sitewise.inference.engine import Draws, Report
from sitewise.inference.nuts import Nuts
from sitewise.inference.packing import is_compiled, unpack
from sitewise.models.model_data import ModelData
from sitewise.models.site_effects import RandomSites
from sitewise.models.spec import ModelSpec
from sitewise.problems import SpecError, listed

if TYPE_CHECKING:
    from sitewise.inference.nested_laplace.weighting import WeightedDraws

RETRY_FACTOR = 4
RESAMPLING = 1
"""Branch of the seed for resampling."""


@dataclass(frozen=True)
class NestedLaplace:
    """Nested Laplace approximation corrected by importance weights: the same posterior as NUTS, in milliseconds.

    The hyperparameters (log shape and a function of the site sd) are put on a grid that grows until its edge is negligible;
    given them, coefficients and baseline have a Laplace approximation and each site's effect its own conditional (Rue, Martino
    & Chopin 2009, JRSS B 71:319, for the nesting). Draws from this are weighted by the exact density over the proposal's. The
    weights certify the answer: effective sample size, Pareto k, and the mass on the edge of the grid are the verdict.

    Parameters
    ----------
    draws : int
        Weighted draws, and as many resampled to equal weights. A failing verdict is tried once more with four times as many.
    fallback : bool or Nuts
        Sample by NUTS, and say so, when the verdict fails again: by its defaults, or by the one given.
    """

    name: ClassVar[str] = "nested-laplace"
    draws: int = 2000
    fallback: bool | Nuts = False

    def __post_init__(self) -> None:
        if self.draws < 100:
            raise SpecError(f"draws is {self.draws}; the importance weights need at least 100 to be judged.")

    def run(self, spec: ModelSpec, data: ModelData, *, seed: int, progress: bool, report: Report) -> Draws:
        """Return the draws, resampled to equal weights, with the weighted ones beside.

        Raises
        ------
        SpecError
            When the model has a family, prior or effect that this engine does not know.
        NoModeError
            When the approximation finds no mode and there is no fallback.
        """
        started = time.perf_counter()
        require_known(spec)
        report("Loading the fast engine (the first time on a machine, compiling it: a minute)")
        from sitewise.inference.nested_laplace.weighting import NoModeError, resampled

        seconds = {"import": time.perf_counter() - started}
        report(f"Drawing {self.draws} weighted draws")
        started = time.perf_counter()
        try:
            found = self.weighted(spec, data, seed=seed)
        except NoModeError as error:
            if not self.fallback:
                raise
            return fall_back(str(error), spec, data, seed=seed, progress=progress, report=report, engine=self._exact)
        if found.verdict.level == "fail" and self.fallback:
            reason = found.verdict.sentence
            return fall_back(reason, spec, data, seed=seed, progress=progress, report=report, engine=self._exact)
        spec = non_centred(spec)
        weighted = unpack(spec, data, found.points[None])
        with np.errstate(divide="ignore"):  # a weight may be too small for a number
            weighted[names.LOG_WEIGHT] = ((names.CHAIN, names.DRAW), np.log(found.weights)[None])
        chosen = resampled(found.weights, np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(RESAMPLING,))))
        posterior = weighted.drop_vars(names.LOG_WEIGHT).isel({names.DRAW: chosen})
        posterior = posterior.assign_coords({names.DRAW: np.arange(found.weights.size)})
        for variable in posterior.data_vars.values():
            variable.attrs[names.IMPORTANCE_ESS] = found.importance_ess
        weighted.attrs["log_marginal_likelihood"] = found.log_marginal_likelihood
        weighted.attrs["log_weight"] = "Pareto-smoothed, weights summing to one"
        sample_stats = xr.Dataset({"lp": ((names.CHAIN, names.DRAW), found.log_density[None, chosen])})
        seconds["sample"] = time.perf_counter() - started
        settings = {**asdict(self), "fallback": bool(self.fallback), "grid_nodes": found.nodes}
        return Draws(posterior, sample_stats, found.verdict, spec, seconds, settings, weighted, self.name)

    @property
    def _exact(self) -> Nuts | None:
        return self.fallback if isinstance(self.fallback, Nuts) else None

    def weighted(self, spec: ModelSpec, data: ModelData, *, seed: int | np.random.SeedSequence) -> WeightedDraws:
        """Return the weighted draws alone, as arrays; where their verdict fails, once more with four times as many.

        Parameters
        ----------
        spec : ModelSpec
            Resolved; its family and priors are known (:func:`require_known`).
        data : ModelData
            A cohort's arrays.
        seed : int or SeedSequence
            Of all randomness.
        """
        from sitewise.inference.nested_laplace.weighting import weighted_draws

        rng = np.random.default_rng(seed)
        found = weighted_draws(spec, data, draws=self.draws, rng=rng)
        if found.verdict.level != "fail":
            return found
        again = weighted_draws(spec, data, draws=RETRY_FACTOR * self.draws, rng=rng)
        note = (
            f"The first {self.draws} draws failed ({found.verdict.sentence}) and were replaced by {RETRY_FACTOR * self.draws}."
        )
        return replace(again, verdict=replace(again.verdict, retried=True, notes=(note,)))


@dataclass(frozen=True)
class Auto:
    """The fast engine where it knows the model and its verdict is ok; NUTS elsewhere, with the reason in the verdict's notes.

    Parameters
    ----------
    fast : NestedLaplace
        Tried first.
    exact : Nuts
        Used when the first does not know the model, or its verdict is not ok.
    """

    name: ClassVar[str] = "auto"
    fast: NestedLaplace = field(default_factory=NestedLaplace)
    exact: Nuts = field(default_factory=Nuts)

    def run(self, spec: ModelSpec, data: ModelData, *, seed: int, progress: bool, report: Report) -> Draws:
        """Return the fast engine's draws, or those of NUTS."""
        try:
            found = replace(self.fast, fallback=False).run(spec, data, seed=seed, progress=progress, report=report)
            if found.verdict.level == "ok":
                return found
            reason = found.verdict.sentence
        except SpecError as error:
            reason = str(error)
        except ValueError as error:
            from sitewise.inference.nested_laplace.weighting import NoModeError

            if not isinstance(error, NoModeError):
                raise
            reason = str(error)
        return fall_back(reason, spec, data, seed=seed, progress=progress, report=report, engine=self.exact)


def non_centred(spec: ModelSpec) -> ModelSpec:
    """Return the spec whose site effects are standardised, as the weighted draws have them; the distribution is the same."""
    return replace(spec, sites=replace(spec.sites, centred=False)) if isinstance(spec.sites, RandomSites) else spec


def require_known(spec: ModelSpec) -> None:
    """Check that the engine knows the spec's family and site effects.

    Raises
    ------
    SpecError
        With what to use instead.
    """
    if spec.shape_differs:
        raise SpecError(
            f"NestedLaplace integrates over one shape, and here it differs between patients (shape = {spec.shape_formula!r}). "
            "Use engine=Nuts()."
        )
    if spec.groupings:
        raise SpecError(
            f"NestedLaplace fits one grouping of patients, the site, and the model also has {listed(spec.groupings)}. "
            "Use engine=Nuts()."
        )
    if isinstance(spec.sites, RandomSites) and not spec.sites.is_plain:
        kind = "Student-t site effects" if spec.sites.is_student_t else "site effects and slopes that are correlated"
        raise SpecError(f"NestedLaplace fits independent normal site effects, not {kind}. Use engine=Nuts().")
    if len(spec.resolved.slope_columns) > 1:
        raise SpecError(
            f"NestedLaplace integrates over at most three hyperparameters, and the sds of the slopes "
            f"{listed(spec.resolved.slope_labels)} are more. Use engine=Nuts()."
        )
    joint = spec.resolved.joint_priors
    if joint:
        raise SpecError(
            f"NestedLaplace gives every coefficient a prior of its own, and {listed(prior.dist for prior in joint)} "
            f"{'is a joint one' if len(joint) == 1 else 'are joint ones'}. Use engine=Nuts()."
        )
    if not (spec.family.log_concave == KINDS_OF_DATA and is_compiled(spec)):
        raise SpecError(
            f"NestedLaplace does not know this model ({spec.family.name}): it fits Weibull and exponential ones whose prior of "
            "the baseline is located by mu. Use engine=Nuts()."
        )


def fall_back(
    reason: str,
    spec: ModelSpec,
    data: ModelData,
    *,
    seed: int,
    progress: bool,
    report: Report,
    engine: Nuts | None = None,
) -> Draws:
    """Return the draws of NUTS, with the reason in the verdict's notes."""
    report("The fast engine does not answer for this posterior: sampling by NUTS")
    found = (engine if engine is not None else Nuts()).run(spec, data, seed=seed, progress=progress, report=report)
    note = f"Sampled by NUTS, because the fast engine did not do: {reason}"
    return replace(found, verdict=replace(found.verdict, notes=(*found.verdict.notes, note)), engine=Nuts.name)
