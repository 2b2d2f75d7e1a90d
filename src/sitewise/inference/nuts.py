"""The NUTS engine: nutpie by default, PyMC's and NumPyro's samplers by choice."""

from __future__ import annotations

import json
import time
from collections import OrderedDict
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import xarray as xr

from sitewise import names
from sitewise.inference.engine import Draws, Report
from sitewise.inference.packing import POINT, kernel_reads, unpack
from sitewise.inference.verdict import judge_nuts
from sitewise.models.model_data import ModelData, data_arrays
from sitewise.models.site_effects import RandomSites
from sitewise.models.spec import ModelSpec
from sitewise.problems import SpecError, listed

if TYPE_CHECKING:
    import pymc

SAMPLERS = ("nutpie", "pymc", "numpyro")
DENSITIES = ("auto", "graph")
RETRY_TARGET_ACCEPT = 0.99
SAMPLER_STATISTICS = {
    "diverging": "diverging",
    "energy": "energy",
    "logp": "lp",
    "lp": "lp",
    "depth": "tree_depth",
    "tree_depth": "tree_depth",
    "n_steps": "n_steps",
    "step_size": "step_size",
    "mean_tree_accept": "acceptance_rate",
    "acceptance_rate": "acceptance_rate",
}
"""Statistics kept, by the name each sampler gives them, under ArviZ's names."""

_COMPILED: OrderedDict[str, Any] = OrderedDict()
_MOST_COMPILED = 16


@dataclass(frozen=True)
class Nuts:
    """The no-U-turn sampler (Hoffman & Gelman 2014).

    Parameters
    ----------
    draws, tune, chains : int
        Draws kept and warm-up draws per chain, and chains.
    target_accept : float
        Target acceptance of the step size; higher is slower and safer.
    sampler : {"nutpie", "pymc", "numpyro"}
        Which implementation.
    cores : int, optional
        Chains run at a time; results do not depend on it. Default: as many as there are.
    density : {"auto", "graph"}
        What nutpie samples: the project's own compiled density where it knows the family and all the priors (no
        compilation), else the PyMC graph; or always the graph. The two are the same density.
    retry : bool
        Run once more, with higher target acceptance and the other centring of the sites, when the verdict fails.
    """

    name: ClassVar[str] = "nuts"
    draws: int = 1000
    tune: int = 1000
    chains: int = 4
    target_accept: float = 0.95
    sampler: str = "nutpie"
    cores: int | None = None
    density: str = "auto"
    retry: bool = True

    def __post_init__(self) -> None:
        if self.sampler not in SAMPLERS:
            raise SpecError(f"There is no sampler '{self.sampler}'; choose {listed(SAMPLERS)}.")
        if self.density not in DENSITIES:
            raise SpecError(f"There is no density '{self.density}'; choose {listed(DENSITIES)}.")
        if self.draws < 4 or self.tune < 0 or self.chains < 1:
            raise SpecError("Nuts needs draws >= 4, tune >= 0 and chains >= 1.")
        if not 0 < self.target_accept < 1:
            raise SpecError(f"target_accept is {self.target_accept}; it must be inside (0, 1).")

    def run(self, spec: ModelSpec, data: ModelData, *, seed: int, progress: bool, report: Report) -> Draws:
        """Sample, judge, and where the verdict fails sample once more.

        Parameters
        ----------
        spec : ModelSpec
            Resolved.
        data : ModelData
            From :func:`sitewise.models.resolve.prepare`.
        seed : int
            Seed of the chains.
        progress : bool
            Show the sampler's own progress bar.
        report : callable
            Told what is being done.
        """
        first = self._once(spec, data, seed=seed, progress=progress, report=report)
        if first.verdict.level != "fail" or not self.retry:
            return first
        again = replace(self, target_accept=max(self.target_accept, RETRY_TARGET_ACCEPT))
        changed = replace(spec, sites=_other_centring(spec.sites))
        report("The verdict fails: sampling once more with higher target acceptance and the other centring")
        second = again._once(changed, data, seed=seed + 1, progress=progress, report=report)
        note = (
            f"The first run failed ({first.verdict.sentence}) and was replaced by one with target_accept "
            f"{again.target_accept:g} and the other centring of the sites."
        )
        seconds = {key: first.seconds[key] + second.seconds[key] for key in first.seconds}
        return replace(second, verdict=replace(second.verdict, retried=True, notes=(note,)), seconds=seconds)

    def _once(self, spec: ModelSpec, data: ModelData, *, seed: int, progress: bool, report: Report) -> Draws:
        sample = _sample_nutpie if self.sampler == "nutpie" else _sample_pymc
        tree, seconds = sample(self, spec, data, seed=seed, progress=progress, report=report)
        posterior = _clean(tree[names.POSTERIOR].to_dataset())
        stored = tree[names.SAMPLE_STATS].to_dataset()
        kept = {old: new for old, new in SAMPLER_STATISTICS.items() if old in stored.data_vars}
        sample_stats = _clean(stored[list(kept)].rename({old: new for old, new in kept.items() if old != new}))
        return Draws(posterior, sample_stats, judge_nuts(posterior, sample_stats), spec, seconds, asdict(self))


def _other_centring(sites: Any) -> Any:
    return replace(sites, centred=not sites.centred) if isinstance(sites, RandomSites) else sites


def _clean(dataset: xr.Dataset) -> xr.Dataset:
    """Return a dataset without the sampler's attributes, coordinates kept."""
    return dataset.drop_attrs()


def _stored_variables(model: pymc.Model) -> list[str]:
    from sitewise.models.graph import stored_variables

    return [variable.name for variable in stored_variables(model)]


def _compile_key(spec: ModelSpec, arrays: dict[str, Any]) -> str:
    """Return what a compiled model depends on: the spec's structure and numbers, not the patients."""
    described = spec.to_dict()
    described["resolution"].pop("data_hash")
    inputs = {key: (value.ndim, str(value.dtype)) for key, value in arrays.items()}
    return json.dumps([described, inputs], sort_keys=True)


def _sample_nutpie(
    engine: Nuts, spec: ModelSpec, data: ModelData, *, seed: int, progress: bool, report: Report
) -> tuple[Any, dict[str, float]]:
    """Sample with nutpie: from the project's compiled density where it reads the spec, from the PyMC graph elsewhere."""
    started = time.perf_counter()
    by_kernel = engine.density == "auto" and kernel_reads(spec)
    if by_kernel or not _COMPILED:
        report("Loading the sampler (the first time on a machine, compiling the density)")
    import nutpie

    if by_kernel:
        from sitewise.inference.nutpie_model import nutpie_model

        compiled = nutpie_model(spec, data)
        seconds = {"import": time.perf_counter() - started, "compile": 0.0}
    else:
        seconds = {"import": time.perf_counter() - started}
        started = time.perf_counter()
        compiled = _compile_graph(spec, data, report)
        seconds["compile"] = time.perf_counter() - started
    report(f"Sampling {engine.chains} chains of {engine.tune} + {engine.draws} draws")
    started = time.perf_counter()
    tree = nutpie.sample(
        compiled,
        draws=engine.draws,
        tune=engine.tune,
        chains=engine.chains,
        cores=engine.cores,
        seed=seed,
        target_accept=engine.target_accept,
        save_warmup=False,
        progress_bar=progress,
    )
    seconds["sample"] = time.perf_counter() - started
    if by_kernel:
        points = tree[names.POSTERIOR][POINT].transpose(names.CHAIN, names.DRAW, ...).to_numpy()
        tree = xr.DataTree.from_dict(
            {
                names.POSTERIOR: unpack(spec, data, points),
                names.SAMPLE_STATS: tree[names.SAMPLE_STATS].to_dataset(),
            }
        )
    return tree, seconds


def _compile_graph(spec: ModelSpec, data: ModelData, report: Report) -> Any:
    """Return the compiled PyMC graph holding this cohort's arrays; compiled once in a process for each spec."""
    import nutpie

    from sitewise.models.graph import build

    arrays = data_arrays(spec, data)
    key = _compile_key(spec, arrays)
    if key not in _COMPILED:
        report("Compiling the model (4 to 20 seconds, less when it was compiled before)")
        model = build(spec, data)
        _COMPILED[key] = nutpie.compile_pymc_model(model, var_names=_stored_variables(model))
        while len(_COMPILED) > _MOST_COMPILED:
            _COMPILED.popitem(last=False)
    _COMPILED.move_to_end(key)
    return _COMPILED[key].with_data(**arrays)


def _sample_pymc(
    engine: Nuts, spec: ModelSpec, data: ModelData, *, seed: int, progress: bool, report: Report
) -> tuple[Any, dict[str, float]]:
    import pymc as pm

    from sitewise.models.graph import build

    if engine.sampler == "numpyro":
        _require_numpyro()
    model = build(spec, data)
    report(f"Compiling and sampling with {engine.sampler}")
    started = time.perf_counter()
    with model:
        tree = pm.sample(
            draws=engine.draws,
            tune=engine.tune,
            chains=engine.chains,
            cores=engine.cores,
            random_seed=seed,
            target_accept=engine.target_accept,
            nuts_sampler=engine.sampler,
            var_names=_stored_variables(model),
            progressbar=progress,
            compute_convergence_checks=False,
        )
    return tree, {"compile": 0.0, "sample": time.perf_counter() - started}


def _require_numpyro() -> None:
    from importlib.util import find_spec

    if find_spec("numpyro") is None:
        raise SpecError("The NumPyro sampler is not installed; run `pip install sitewise[numpyro]`.")


def clear_compiled() -> None:
    """Forget the compiled models of this process."""
    _COMPILED.clear()
