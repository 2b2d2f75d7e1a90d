"""The evidence and the posterior of tiny models against quadrature that shares nothing with the package.

Densities are scipy's or written out here. Smooth integrands that die out at both ends are summed by the trapezoid rule, which
converges exponentially for them; the site sd, which has an edge at zero, by Gauss-Legendre, and site effects by Gauss-Hermite.
Half the steps, twice the rules or wider ranges change no mean, sd or log evidence below by more than 2e-4 sds, where a Monte
Carlo error is 8e-3.

Monte Carlo errors come from the ESS of the importance weights: sd / sqrt(ESS) of a mean, sd sqrt((kurtosis - 1) / ESS) / 2 of
an sd, and sqrt(1 / ESS - 1 / draws) of the log evidence. 4.5 of them leave one false alarm in 150,000 comparisons.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from numpy.polynomial.hermite_e import hermegauss
from numpy.polynomial.legendre import leggauss
from scipy import integrate, stats
from scipy.special import logsumexp

import sitewise as sw

DRAWS = 20_000
ERRORS = 4.5

TABLE = pd.DataFrame(
    {
        "time": [1.2, 3.0, 4.1, 0.7, 9.5, 6.6, 2.2, 12.0, 5.0, 8.3, 15.0, 3.9],
        "event": [1, 1, 0, 1, 1, 0, 1, 0, 1, 1, 0, 1],
        "entry": [0.0, 1.0, 0.0, 0.2, 0.0, 3.0, 0.0, 0.0, 2.5, 0.0, 6.0, 0.0],
        "weight": [1.0, 0.5, 1.5, 1.0, 2.0, 1.0, 0.7, 1.0, 1.3, 1.0, 0.8, 1.0],
        "ecog": list("010011010100"),
        "site": list("aabbabccbcac"),
    }
)


def cohort(**options: str) -> sw.Cohort:
    return sw.Cohort.from_frame(TABLE, time="time", event="event", site="site", covariates=["ecog"], **options)


@dataclass(frozen=True, eq=False)
class Posterior:
    """Log evidence, and moments 1 to 4 about zero of each quantity."""

    log_evidence: float
    moments: dict[str, np.ndarray]

    @classmethod
    def on_nodes(cls, log_mass: np.ndarray, values: dict[str, np.ndarray]) -> Posterior:
        """From log mass at nodes; a value's array holds its moments given the node on a last axis of 4, or the value alone."""
        log_evidence = float(logsumexp(log_mass))
        mass = np.exp(log_mass - log_evidence)
        powers = {
            name: value if value.ndim > mass.ndim else value[..., None] ** np.arange(1, 5) for name, value in values.items()
        }
        return cls(log_evidence, {name: np.tensordot(mass, power, mass.ndim) for name, power in powers.items()})

    def summary(self, name: str) -> tuple[float, float, float]:
        """Return mean, sd and kurtosis."""
        one, two, three, four = self.moments[name]
        variance = two - one**2
        return one, np.sqrt(variance), (four - 4 * one * three + 6 * one**2 * two - 3 * one**4) / variance**2


def compare(spec: sw.ModelSpec, patients: sw.Cohort, expected: Posterior) -> None:
    weighted = sw.fit(spec, patients, engine=sw.NestedLaplace(draws=DRAWS), seed=8).tree["weighted_posterior"].to_dataset()
    log_weight = weighted["log_weight"].to_numpy()[0]
    counted = log_weight > -np.inf
    weight = np.exp(log_weight[counted])
    ess = 1 / np.sum(weight**2)
    error = ERRORS * np.sqrt(max(1 / ess - 1 / DRAWS, 0))
    assert weighted.attrs["log_marginal_likelihood"] == pytest.approx(expected.log_evidence, abs=error)
    for name in expected.moments:
        variable, _, index = name.partition(" ")
        draws = weighted[variable].to_numpy()[0].reshape(DRAWS, -1)[counted, int(index or 0)]
        mean, sd, kurtosis = expected.summary(name)
        found = weight @ draws
        assert found == pytest.approx(mean, abs=ERRORS * sd / np.sqrt(ess)), name
        spread = np.sqrt(weight @ (draws - found) ** 2)
        assert spread == pytest.approx(sd, abs=ERRORS * sd * np.sqrt((kurtosis - 1) / ess) / 2), name


def baseline_prior() -> tuple[float, float]:
    """The contract's default, log median ~ Normal(log(ln 2 x person-time / events), 1.5), of the plain table."""
    return float(np.log(np.log(2) * TABLE["time"].sum() / TABLE["event"].sum())), 1.5


def even(low: float, high: float, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return nodes and log weights of the trapezoid rule for a function that is zero at both ends."""
    return np.linspace(low, high, size), np.full(size, np.log((high - low) / (size - 1)))


def above_zero(high: float, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return nodes and log weights of Gauss-Legendre on (0, high)."""
    x, weight = leggauss(size)
    return (x + 1) * high / 2, np.log(weight * high / 2)


def grid(*axes: tuple[np.ndarray, np.ndarray]) -> list[np.ndarray]:
    """Return each axis' nodes along its own dimension, and last the log weights of all nodes."""
    *nodes, weights = (np.meshgrid(*values, indexing="ij", sparse=True) for values in zip(*axes, strict=True))
    return [*nodes[0], sum(weights)]


def test_exponential():
    mean, sd = baseline_prior()

    def density(log_median: float, power: int) -> float:
        patients = stats.expon(scale=np.exp(log_median) / np.log(2))
        log_likelihood = np.where(TABLE["event"], patients.logpdf(TABLE["time"]), patients.logsf(TABLE["time"])).sum()
        return log_median**power * np.exp(log_likelihood + stats.norm.logpdf(log_median, mean, sd))

    # The integral is some 1e-13: asked for to 1e-10 of itself.
    options = {"epsabs": 0.0, "epsrel": 1e-10, "points": [mean], "limit": 200}
    parts = [integrate.quad(density, mean - 6, mean + 6, args=(power,), **options)[0] for power in range(5)]
    moments = {"log_median_at_means": np.array(parts[1:]) / parts[0]}
    spec = sw.ModelSpec(family=sw.Exponential(), sites=sw.NoSites())
    compare(spec, cohort(), Posterior(float(np.log(parts[0])), moments))


def test_weibull_with_late_entry_and_weights():
    log_shape, log_scale, log_density = grid(even(-2.0, 1.6, 181), even(-3, 8, 301))
    whole = np.zeros_like(log_density)
    log_density = log_density + stats.norm.logpdf(log_shape, 0, 0.5) + stats.norm.logpdf(log_scale, 2, 1)
    for row in TABLE.itertuples():
        patient = stats.weibull_min(np.exp(log_shape), scale=np.exp(log_scale))
        reached = patient.logpdf(row.time) if row.event else patient.logsf(row.time)
        log_density = log_density + row.weight * (reached - (patient.logsf(row.entry) if row.entry else 0.0))
    values = {"shape": np.exp(log_shape) + whole, "log_scale_at_means": log_scale + whole}
    priors = sw.Priors(log_scale_at_means=sw.Prior("Normal", mu=2, sigma=1))
    spec = sw.ModelSpec(sites=sw.NoSites(), priors=priors)
    compare(spec, cohort(entry="entry", weights="weight"), Posterior.on_nodes(log_density, values))


def test_exponential_with_a_covariate_and_fixed_sites():
    """Three fixed sites of sum zero: two coordinates on an orthonormal basis, each Normal(0, 1), and their plane's density."""
    median, effect, first, second, log_density = grid(even(-2, 5, 43), even(-4, 4, 33), even(-4.5, 4, 33), even(-4, 4.5, 33))
    whole = np.zeros_like(log_density)
    # Baseline of the reference patient (ECOG 0), whose log median the prior is about.
    log_hazard = np.log(np.log(2)) - median
    sites = {
        "a": first / np.sqrt(2) + second / np.sqrt(6),
        "b": -first / np.sqrt(2) + second / np.sqrt(6),
        "c": -2 * second / np.sqrt(6),
    }
    log_density = log_density + stats.norm.logpdf(median, *baseline_prior())
    for value in (effect, first, second):
        log_density = log_density + stats.norm.logpdf(value)
    for (site, ecog), rows in TABLE.groupby(["site", "ecog"]):
        log_rate = log_hazard + sites[site] + (effect if ecog == "1" else 0.0)
        log_density = log_density + rows["event"].sum() * log_rate - rows["time"].sum() * np.exp(log_rate)
    values = {"log_hazard_ratio": effect + whole, **{f"site_effect {j}": sites[key] + whole for j, key in enumerate("abc")}}
    spec = sw.ModelSpec(terms=("ecog",), family=sw.Exponential(), sites=sw.FixedSites())
    compare(spec, cohort(), Posterior.on_nodes(log_density, values))


def site_integrals(events, exposure, sd, sign=1.0):
    """Return log of the mean of exp(events sign b - exposure exp(sign b)) over b ~ Normal(0, sd), and b's moments 1 to 4."""
    z, weight = hermegauss(40)
    b = sd[..., None] * z
    terms = np.log(weight / np.sqrt(2 * np.pi)) + sign * events * b - exposure[..., None] * np.exp(sign * b)
    total = logsumexp(terms, axis=-1)
    mass = np.exp(terms - total[..., None])
    return total, np.stack([(mass * b**power).sum(axis=-1) for power in range(1, 5)], axis=-1)


def test_exponential_with_random_sites():
    log_median, site_sd, log_density = grid(even(-3, 7, 161), above_zero(4.0, 50))
    whole = np.zeros_like(log_density)
    log_density = log_density + stats.norm.logpdf(log_median, *baseline_prior()) + stats.halfnorm.logpdf(site_sd, scale=0.5)
    rate, spread = np.log(2) / np.exp(log_median), site_sd + whole
    values = {"site_sd": spread, "log_median_at_means": log_median + whole}
    for j, (_, rows) in enumerate(TABLE.groupby("site")):
        total, values[f"site_effect {j}"] = site_integrals(rows["event"].sum(), rows["time"].sum() * rate + whole, spread)
        log_density = log_density + rows["event"].sum() * np.log(rate) + total
    compare(sw.ModelSpec(family=sw.Exponential()), cohort(), Posterior.on_nodes(log_density, values))


def test_weibull_with_random_sites_and_time_ratios():
    """Both hyperparameters on the grid; a site's log time ratio is minus k times it as a log hazard ratio."""
    log_shape, log_median, site_sd, log_density = grid(even(-1.6, 1.6, 33), even(-3, 7, 81), above_zero(4.0, 30))
    shape, whole = np.exp(log_shape), np.zeros_like(log_density)
    log_density = log_density + stats.norm.logpdf(log_shape, 0, 0.5) + stats.norm.logpdf(log_median, *baseline_prior())
    log_density = log_density + stats.expon.logpdf(site_sd, scale=1 / 2.5)
    values = {"shape": shape + whole, "log_median_at_means": log_median + whole, "site_sd": site_sd + whole}
    log_scale = log_median - np.log(np.log(2)) / shape
    for j, (_, rows) in enumerate(TABLE.groupby("site")):
        exposure = whole
        for row in rows.itertuples():
            log_hazard = shape * (np.log(row.time) - log_scale)
            exposure = exposure + np.exp(log_hazard)
            log_density = log_density + row.event * (log_shape + log_hazard - np.log(row.time))
        total, moments = site_integrals(rows["event"].sum(), exposure, shape * site_sd + whole, sign=-1.0)
        log_density = log_density + total
        values[f"site_effect {j}"] = moments / (shape + whole)[..., None] ** np.arange(1, 5)
    priors = sw.Priors(site_sd=sw.Prior("Exponential", lam=2.5))
    compare(sw.ModelSpec(metric="time-ratio", priors=priors), cohort(), Posterior.on_nodes(log_density, values))


@pytest.mark.parametrize("sites", [sw.RandomSites(), sw.FixedSites()], ids=["random", "fixed"])
def test_a_change_of_units_moves_the_evidence_by_its_jacobian(sites):
    """With the default prior of the baseline, which moves with the unit, only the densities of the event times change."""
    spec = sw.ModelSpec(terms=("ecog",), sites=sites)
    found = []
    for unit in (1.0, 30.4):
        table = TABLE.assign(time=TABLE["time"] * unit)
        patients = sw.Cohort.from_frame(table, time="time", event="event", site="site", covariates=["ecog"])
        fit = sw.fit(spec, patients, engine=sw.NestedLaplace(draws=1000))
        found.append(fit.tree["weighted_posterior"].attrs["log_marginal_likelihood"])
    # The same random numbers: the draws are the same but for rounding.
    assert found[0] - found[1] == pytest.approx(TABLE["event"].sum() * np.log(30.4), abs=1e-6)


def test_the_unit_of_a_covariate_changes_no_evidence():
    """The default prior of a numeric column's coefficient is per sd of the column."""
    found = []
    for unit in (1.0, 1e6):
        table = TABLE.assign(age=unit * np.arange(12.0) ** 1.5)
        patients = sw.Cohort.from_frame(table, time="time", event="event", site="site", covariates=["age"])
        fit = sw.fit(sw.ModelSpec(terms=("age",)), patients, engine=sw.NestedLaplace(draws=1000))
        found.append(fit.tree["weighted_posterior"].attrs["log_marginal_likelihood"])
    assert found[0] == pytest.approx(found[1], abs=1e-6)
