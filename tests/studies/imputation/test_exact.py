"""The pooled posterior against the exact one, with missing values summed and integrated out by quadrature, not sampled.

Both oracles write the joint model anew in NumPy: no formula of the package is used but the numbers of the resolved priors.
"""

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats

import sitewise as sw

SURE = 4.5
"""Standard errors within which an estimate has to be: some twenty comparisons, one false alarm in 7,000 runs."""


def patients(n, seed, *, shape=1.0, link=0.8):
    """Patients whose binary and numeric covariates matter, and are missing more often after early deaths (at random)."""
    rng = np.random.default_rng(seed)
    stage = rng.random(n) < 0.4
    marker = 5 + 2 * (link * stage + rng.standard_normal(n))
    event_time = 10 * (rng.standard_exponential(n) * np.exp(-1.2 * stage - 0.35 * (marker - 5))) ** (1 / shape)
    censored = rng.uniform(4, 30, n)
    time, died = np.minimum(event_time, censored) + 1e-3, (event_time <= censored).astype(int)
    chance = np.where(died & (time < 8), 0.6, 0.25)
    frame = pd.DataFrame({"time": time, "died": died, "stage": np.where(stage, "II", "I"), "marker": marker})
    frame.loc[rng.random(n) < chance, "stage"] = None
    frame.loc[rng.random(n) < 1.2 * chance, "marker"] = np.nan
    return frame


def read(frame, *covariates, missing="keep"):
    return sw.Cohort.from_frame(frame, time="time", event="died", covariates=list(covariates), missing=missing)


def compare(draws, mean, sd, error=0.0):
    """Hold the mean and sd of pooled draws (chain, draw) to exact ones, ``error`` being the oracle's own of the mean."""
    chains = len(draws)
    own = draws.mean(axis=1)
    assert abs(own.mean() - mean) < SURE * np.hypot(own.std(ddof=1) / np.sqrt(chains), error)
    # The pooled variance is the mean over chains of E (x - mean)^2: its error is that of a mean of independent chains.
    square = ((draws - mean) ** 2).mean(axis=1)
    assert abs(square.mean() - sd**2) < SURE * np.hypot(square.std(ddof=1) / np.sqrt(chains), 3 * sd * error)


@pytest.mark.parametrize("kind", ["right", "interval, entry"])
def test_a_binary_covariate_summed_out_on_a_grid(kind):
    """Exponential times: log median of the reference patient, log hazard ratio and log odds on a grid of three dimensions."""
    frame = patients(70, 5)
    frame["start"], frame["lower"], frame["upper"] = 0.0, frame["time"], frame["time"].where(frame["died"] == 1, np.inf)
    if kind == "right":
        cohort = read(frame, "stage")
        spec = sw.ModelSpec.from_formula("Surv(time, died) ~ stage", family=sw.Exponential())
    else:
        late, hidden = np.arange(70) % 3 == 0, (np.arange(70) % 2 == 0) & (frame["died"] == 1)
        frame.loc[hidden, "lower"], frame.loc[hidden, "upper"] = 0.7 * frame["time"], 1.5 * frame["time"]
        frame.loc[late, "start"] = 0.4 * frame["time"]
        options = {"lower": "lower", "upper": "upper", "entry": "start", "covariates": ["stage"]}
        cohort = sw.Cohort.from_frame(frame, missing="keep", **options)
        formula = 'Surv(start, lower, upper, type="interval") ~ stage'
        spec = sw.ModelSpec.from_formula(formula, family=sw.Exponential())
    count = 200 if kind == "right" else 100
    imputations = sw.impute(spec, cohort, imputations=count, sweeps=8, seed=3)
    fit = sw.fit_imputed(imputations, engine=sw.NestedLaplace(draws=200))

    prior = fit.spec.resolved.baseline_prior.values
    assert fit.spec.resolved.baseline == "log_median"
    assert str(fit.spec.resolved.coefficients[0]) == "Normal(mu=0, sigma=1)"
    median, ratio, odds = np.meshgrid(
        np.linspace(0.8, 4.2, 61), np.linspace(-1.5, 4.0, 71), np.linspace(-4.0, 3.0, 41), indexing="ij", sparse=True
    )
    density = (
        stats.norm.logpdf(median, prior["mu"], prior["sigma"]) + stats.norm.logpdf(ratio) + stats.norm.logpdf(odds, 0, 2.5)
    )
    share = 1 / (1 + np.exp(-odds))
    for start, lower, upper, stage in frame[["start", "lower", "upper", "stage"]].itertuples(index=False):
        likelihood = []
        for own in (0, 1):
            hazard = np.log(2) * np.exp(own * ratio - median)
            seen = hazard if upper == lower else 1.0 - np.exp(-hazard * (upper - lower))  # upper infinite: censored
            likelihood.append(seen * np.exp(-hazard * (lower - start)))
        own = share * likelihood[1] * (stage != "I") + (1 - share) * likelihood[0] * (stage != "II")
        density = density + np.log(own)
    weight = np.exp(density - density.max())
    weight /= weight.sum()
    for exact, name in ((ratio, "log_hazard_ratio"), (median, "log_median")):
        draws = fit.posterior[name].to_numpy().reshape(count, 200) if name in fit.posterior else reference_median(fit)
        mean = float((weight * exact).sum())
        compare(draws, mean, float(np.sqrt((weight * (exact - mean) ** 2).sum())))
    # The spread between completed cohorts, without which the sd would be too small by a tenth, is more than the tolerance.
    assert fit.missing_information["missing_information"][0] > 0.2


def reference_median(fit):
    """Draws of the log median of the reference patient, exponential times."""
    return (fit.posterior["log_scale"] + np.log(np.log(2))).to_numpy()


NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(24)
WEIGHTS = WEIGHTS / WEIGHTS.sum()


def log_posterior(points, frame, resolved, centre, spread, stages_of=None):
    """Log joint density of points (S, 8) given what was observed, of a Weibull model of two incomplete covariates.

    Parameters: log median of the reference patient, log shape, two log hazard ratios, log odds of the stage, intercept, slope
    and log variance of the standardised marker given the stage. ``stages_of`` gets the probability of stage II,
    (S,), of each patient whose stage is missing.
    """
    median, log_shape, by_stage, by_marker, odds, intercept, slope, log_variance = points.T[..., None, None]
    shape, variance = np.exp(log_shape), np.exp(log_variance)
    at_stage, at_marker = resolved.reference
    density = stats.norm.logpdf(points[:, 0], *numbers(resolved.baseline_prior)) + stats.norm.logpdf(points[:, 1], 0, 0.5)
    for place, prior in enumerate(resolved.coefficients):
        density = density + stats.norm.logpdf(points[:, 2 + place], *numbers(prior))
    density = density + stats.norm.logpdf(points[:, 4:7], 0, 2.5).sum(axis=1)
    # Inverse gamma (1, 1/2) of the variance, with the Jacobian of its log.
    density = density + np.log(0.5) - points[:, 7] - 0.5 * np.exp(-points[:, 7])

    def survival(time, died, stage, marker):
        log_hazard = (
            np.log(np.log(2))
            + shape * (np.log(time) - median)
            + by_stage * (stage - at_stage)
            + by_marker * (marker - at_marker)
        )
        return died * (log_hazard + log_shape - np.log(time)) - np.exp(log_hazard)

    for time, died, stage, marker in frame[["time", "died", "stage", "marker"]].itertuples(index=False):
        stages = np.array([0.0, 1.0] if pd.isna(stage) else [float(stage == "II")])[None, :, None]
        log_share = -np.log1p(np.exp(np.where(stages > 0, -odds, odds)))
        mean = intercept + slope * stages
        if pd.isna(marker):
            score = mean + np.sqrt(variance) * NODES
            own = log_share + np.log(WEIGHTS) + survival(time, died, stages, centre + spread * score)
        else:
            score = (marker - centre) / spread
            own = log_share + survival(time, died, stages, marker) + stats.norm.logpdf(score, mean, np.sqrt(variance))
        top = own.max(axis=(1, 2), keepdims=True)
        weight = np.exp(own - top).sum(axis=2)
        if stages_of is not None and pd.isna(stage):
            stages_of.append(weight[:, 1] / weight.sum(axis=1))
        density = density + top[:, 0, 0] + np.log(weight.sum(axis=1))
    return density


def weighted_points(log_density, size=10_000, degrees=7):
    """Points and weights of a density in 8 dimensions: importance sampling by a t whose location and scale are learnt first."""
    start = np.array([np.log(8), 0.3, 1.0, 0.3, -0.5, 0.0, 0.5, 0.0])
    found = optimize.minimize(lambda point: -log_density(point[None])[0], start, method="BFGS")
    middle, spread = found.x, np.diag([0.2, 0.15, 0.5, 0.15, 0.4, 0.3, 0.4, 0.4]) ** 2
    rng = np.random.default_rng(8)
    for count in (*[2000] * 5, size):
        noise = rng.standard_normal((count, 8)) * np.sqrt(degrees / rng.chisquare(degrees, count))[:, None]
        points = middle + 1.1 * noise @ np.linalg.cholesky(spread).T
        log_weight = log_density(points) + 0.5 * (degrees + 8) * np.log1p((noise**2).sum(axis=1) / degrees)
        weight = np.exp(log_weight - log_weight.max())
        weight /= weight.sum()
        capped = np.minimum(weight, 20 / count) / np.minimum(weight, 20 / count).sum()
        middle = capped @ points
        spread = (points - middle).T @ ((points - middle) * capped[:, None])
    return points, weight


def numbers(prior):
    return prior.values["mu"], prior.values["sigma"]


@pytest.mark.slow
def test_a_binary_and_a_numeric_covariate_integrated_out():
    """Weibull times: the stage is summed out, the marker by Gauss-Hermite quadrature, the rest by importance sampling."""
    frame = patients(60, 11, shape=1.4, link=2.0)  # the marker says much about a missing stage, and the other way round
    cohort = read(frame, "stage", "marker")
    spec = sw.ModelSpec.from_formula("Surv(time, died) ~ stage + marker")
    # Half of the stages and markers are missing and they lean on each other: five sweeps are too few, and the verdict says so.
    assert sw.impute(spec, cohort, imputations=110, sweeps=5, seed=2).verdict.level == "fail"
    imputations = sw.impute(spec, cohort, imputations=110, sweeps=60, seed=2)
    assert imputations.verdict.level == "ok"
    assert imputations.incomplete == ("stage", "marker")
    fit = sw.fit_imputed(imputations, engine=sw.NestedLaplace(draws=200))

    observed = frame["marker"].dropna()
    told = (frame, fit.spec.resolved, observed.mean(), observed.std())
    points, weight = weighted_points(lambda at: log_posterior(at, *told))
    assert 1 / (weight**2).sum() > 3000

    posterior = fit.posterior
    ratios = posterior["log_hazard_ratio"].to_numpy()
    pairs = [
        (points[:, 2], ratios[..., 0]),
        (points[:, 3], ratios[..., 1]),
        (np.exp(points[:, 1]), posterior["shape"].to_numpy()),
    ]
    for exact, draws in pairs:
        mean = float(weight @ exact)
        error = float(np.sqrt((weight**2) @ (exact - mean) ** 2))
        compare(draws, mean, float(np.sqrt(weight @ (exact - mean) ** 2)), error)
    assert (fit.missing_information["missing_information"][:2] > 0.2).all()  # there is something to integrate out

    # Who has which stage: the number of patients, and how many of those who are likely to have stage II.
    stages: list[np.ndarray] = []
    log_posterior(points, *told, stages)
    chance = np.array(stages) @ weight
    drawn = imputations.chains.values["stage"][:, frame["stage"].isna()]
    for score in (np.ones(chance.size), chance - chance.mean()):
        own = drawn @ score
        assert abs(own.mean() - chance @ score) < SURE * own.std(ddof=1) / np.sqrt(len(own))


def test_without_missing_values_it_is_the_plain_fit():
    frame = patients(80, 3).assign(stage=np.tile(["I", "II"], 40), marker=np.random.default_rng(1).standard_normal(80))
    cohort = read(frame, "stage", "marker")
    spec = sw.ModelSpec.from_formula("Surv(time, died) ~ stage + marker")
    imputations = sw.impute(spec, cohort, imputations=8, seed=1)
    assert imputations.incomplete == ()
    assert imputations.verdict.level == "ok"
    assert imputations.sentence == "No covariate has missing values."
    pd.testing.assert_frame_equal(imputations[3].frame, cohort.frame)
    plain = sw.fit(spec, cohort, engine=sw.NestedLaplace(draws=4000), seed=9)
    assert imputations.spec == plain.spec
    pooled = sw.fit_imputed(imputations)
    for name in ("log_hazard_ratio", "shape", "log_scale"):
        one, many = plain.posterior[name], pooled.posterior[name]
        sd = one.std(("chain", "draw"))
        # 4000 draws of which at least half count, and 8 x 500 likewise: 5 errors of a difference of means, sqrt(2 / 2000) sd.
        assert (abs(one.mean(("chain", "draw")) - many.mean(("chain", "draw"))) < 0.16 * sd).all()
        assert many.std(("chain", "draw")).to_numpy() == pytest.approx(sd.to_numpy(), rel=0.12)
    # Between equal cohorts there is only the noise of 500 draws: 1 / (at least 200 effective ones), in the mean over 8.
    assert (pooled.missing_information["missing_information"] < 0.02).all()
