"""What is true under a scenario, against quadrature written here from the model's definition.

Three oracles, none of which shares a formula with the package's:

- Probabilities of covariate patterns are rectangles of the multivariate normal distribution. The package conditions one
  variable on the one before (Genz); here Plackett's identity, dP / d rho_ij = phi2(b_i, b_j; rho_ij) P(the others | i, j), is
  integrated from independence to the correlation asked for, the probability of the others by the same identity again. It is
  itself compared with scipy's ``multivariate_normal.cdf``.
- Survival of a group is the mean of exp(-H(t) exp(eta + b)) over its members, and for the marginal population over b by
  adaptive Gauss-Kronrod quadrature (QUADPACK); the median is a bracketed root of that averaged curve, the restricted mean
  a second adaptive integral, over time.
- A million simulated uncensored patients.

TOLERANCE is what is asked of every value, relative. The largest part of the error is that of the shares of patterns, which the
package promises to 1e-9 and which is 3e-10 at most here: of a group with a share of .04, the smallest here, 7e-9, and less for
its mean, whose members' errors have either sign. The oracle's own error is below 1e-11.
"""

import itertools
from dataclasses import dataclass, field
from functools import cache, cached_property

import numpy as np
import pytest
from scipy import integrate, optimize, stats

import sitewise as sw
from sitewise.problems import ScenarioError

TOLERANCE = 1e-8
SHARES = 1e-9
FIVE = 5.0
"""Standard errors: a right program exceeds them with probability 5.7e-7 a comparison; about a hundred are made here."""

NODES, WEIGHTS = np.polynomial.legendre.leggauss(48)
NODES, WEIGHTS = (NODES + 1) / 2, WEIGHTS / 2


# Orthants by Plackett's identity ---------------------------------------------------------------------------
def below(bounds, correlation):
    """P(Z < bounds) of standard normal Z with the correlation matrix; leading axes are broadcast."""
    size = bounds.shape[-1]
    total = np.prod(stats.norm.cdf(bounds), axis=-1)
    if size < 2:
        return total
    independent = np.eye(size)
    path = independent + (correlation - independent)[..., None, :, :] * NODES[:, None, None]
    for i, j in itertools.combinations(range(size), 2):
        pair, rest = [i, j], [k for k in range(size) if k not in (i, j)]
        at, rho = bounds[..., None, pair], path[..., i, j]
        square = at[..., 0] ** 2 - 2 * rho * at[..., 0] * at[..., 1] + at[..., 1] ** 2
        density = np.exp(-square / (2 * (1 - rho**2))) / (2 * np.pi * np.sqrt(1 - rho**2))
        slope = path[..., rest, :][..., pair] @ np.linalg.inv(path[..., pair, :][..., pair])
        mean = (slope @ at[..., None])[..., 0]
        covariance = path[..., rest, :][..., rest] - slope @ path[..., pair, :][..., rest]
        sd = np.sqrt(np.diagonal(covariance, axis1=-2, axis2=-1))
        others = below((bounds[..., None, rest] - mean) / sd, covariance / (sd[..., None] * sd[..., None, :]))
        total = total + correlation[..., i, j] * ((density * others) @ WEIGHTS)
    return total


def rectangle(low, high, correlation):
    """P(low < Z < high) by inclusion and exclusion; bounds may be infinite."""
    total = 0.0
    for lower in itertools.product((False, True), repeat=len(low)):
        corner = np.where(lower, low, high)
        if (corner == -np.inf).any():
            continue
        finite = np.isfinite(corner)
        total += (-1) ** sum(lower) * float(below(corner[finite], correlation[np.ix_(finite, finite)]))
    return total


# Scenarios as plain numbers --------------------------------------------------------------------------------
@dataclass(frozen=True, eq=False)
class Known:
    """What is true, written out; ``scenario`` is the same for the package."""

    levels: dict = field(default_factory=dict)
    """For each categorical covariate: shares and log hazard ratios of its levels a, b, ..."""
    latent: dict = field(default_factory=dict)
    favourable: tuple = ()
    """Covariates whose level a is favourable."""
    median: float = 38.4
    shape: float = 0.762
    guarantee: float = 1.95
    family: str = "weibull"
    sd: float | None = None
    effects: tuple | None = None
    site_shares: tuple = (0.35, 0.20, 0.20, 0.15, 0.10)

    @property
    def sites(self):
        return tuple(f"s{number}" for number in range(len(self.site_shares)))

    def scenario(self, **changes):
        parameters = {} if self.family == "exponential" else {"shape": self.shape}
        parts = {
            "id": "known",
            "title": "Known",
            "patients": 100,
            "baseline": sw.Baseline(self.median, self.family, parameters, self.guarantee),
            "sites": sw.Sites(self.sites, self.site_shares, self.sd, self.effects),
            "censoring": sw.Censoring(),
            "margins": "sampled",
            "categorical": tuple(
                sw.Categorical(name, tuple("abcd"[: len(shares)]), shares, ratios)
                for name, (shares, ratios) in self.levels.items()
            ),
            "correlations": tuple(sw.Correlation(pair, value) for pair, value in self.latent.items()),
        }
        return sw.Scenario(**{**parts, **changes})

    @property
    def correlation(self):
        names = list(self.levels)
        matrix = np.eye(len(names))
        for (one, other), value in self.latent.items():
            matrix[names.index(one), names.index(other)] = matrix[names.index(other), names.index(one)] = value
        return matrix

    @property
    def cuts(self):
        """For each covariate the bounds of its levels on the latent scale."""
        inner = [stats.norm.ppf(np.cumsum(shares)[:-1]) for shares, _ in self.levels.values()]
        return [np.concatenate([[-np.inf], cut, [np.inf]]) for cut in inner]

    @cached_property
    def patterns(self):
        """Level numbers of every pattern, shape (q, p)."""
        return np.array(list(itertools.product(*(range(len(shares)) for shares, _ in self.levels.values()))), dtype=int)

    @cached_property
    def probabilities(self):
        place = range(len(self.levels))
        return np.array(
            [
                rectangle(*([self.cuts[k][row[k] + side] for k in place] for side in (0, 1)), self.correlation)
                for row in self.patterns
            ]
        )

    @cached_property
    def log_ratios(self):
        ratios = [np.array(item) for _, item in self.levels.values()]
        return np.array([sum(item[level] for item, level in zip(ratios, row, strict=True)) for row in self.patterns])

    def hazard(self, time):
        """Cumulative baseline hazard: ln 2 at the median after the guarantee time."""
        exponent = 1.0 if self.family == "exponential" else self.shape
        return np.log(2) * (max(time - self.guarantee, 0.0) / self.median) ** exponent

    @property
    def risk_groups(self):
        """The package's description of the groups, and which patterns (rows) belong to each by the definition."""
        if not self.favourable:
            return EVERYONE, {"all": np.ones(len(self.patterns), dtype=bool)}
        names = list(self.levels)
        count = np.sum([self.patterns[:, names.index(name)] == 0 for name in self.favourable], axis=0)
        total = len(self.favourable)
        rows = {f"{number} of {total} favourable": count == number for number in range(total, -1, -1)}
        return sw.RiskGroups.count_favourable(dict.fromkeys(self.favourable, "a")), rows

    def curve(self, rows, sites):
        """The averaged curve of the patterns at ``rows``: a function of time."""
        weights = self.probabilities[rows] / self.probabilities[rows].sum()
        return averaged(self.hazard, weights, np.exp(self.log_ratios[rows]), self.site_mean(sites))

    def site_mean(self, sites):
        """A function that averages a function of the site's log hazard ratio over the sites meant."""
        if sites == "marginal":
            return lambda function: over_sites(function, self.sd)
        if sites == "observed":
            return lambda function: float(
                sum(share * function(effect) for share, effect in zip(self.site_shares, self.effects, strict=True))
            )
        effect = self.effects[self.sites.index(sites.split(":")[1])] if ":" in sites else 0.0
        return lambda function: function(effect)


def averaged(hazard, weights, ratios, site_mean):
    @cache
    def survival(time):
        return float(site_mean(lambda b: float(weights @ np.exp(-hazard(time) * ratios * np.exp(b)))))

    return survival


def over_sites(function, sd):
    """The mean of ``function(b)`` over b ~ Normal(0, sd) by adaptive quadrature; beyond 12 sd lies less than 1e-32."""

    def integrand(z):
        return np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi) * function(sd * z)

    return sum(integrate.quad(integrand, low, low + 4, epsabs=1e-14, epsrel=1e-13, limit=200)[0] for low in range(-12, 12, 4))


def median_of(survival, guarantee):
    """The bracketed root of S - 1/2 on the scale of log time after the guarantee time."""
    root = optimize.brentq(lambda u: survival(guarantee + float(np.exp(u))) - 0.5, -20, 20, xtol=1e-13, rtol=1e-14)
    return guarantee + np.exp(root)


def area_of(survival, guarantee, horizon, exponent):
    """The area under S up to the horizon; with t = g + v^(1/k) the integrand has no infinite slope at the guarantee time."""

    def integrand(v):
        return survival(guarantee + v ** (1 / exponent)) * v ** (1 / exponent - 1) / exponent

    last = (horizon - guarantee) ** exponent
    return guarantee + integrate.quad(integrand, 0, last, epsabs=1e-11, epsrel=1e-11)[0]


EVERYONE = sw.RiskGroups.by_rule({"all": lambda people: np.ones(len(people), dtype=bool)})
TREATMENTS = {
    "average": sw.Average(),
    "marginal": sw.Marginal(),
    "new": sw.New(),
    "observed": sw.Observed(),
    "observed:s1": sw.Observed("s1"),
}
KROG_LEVELS = {
    "ecog": ((0.47, 0.53), (0.0, 0.57)),
    "child_pugh": ((0.83, 0.17), (0.0, 0.88)),
    "primary": ((0.58, 0.42), (0.0, 0.32)),
    "interval": ((0.83, 0.17), (0.0, 0.37)),
}
KROG_LATENT = {
    ("ecog", "child_pugh"): 0.405321,
    ("ecog", "primary"): 0.318521,
    ("ecog", "interval"): 0.336376,
    ("child_pugh", "primary"): 0.336376,
    ("child_pugh", "interval"): 0.291313,
    ("primary", "interval"): 0.206966,
}
STATED = {"effects": (-0.5, -0.1, 0.0, 0.3, 0.8)}
KNOWN = {
    "krog": Known(KROG_LEVELS, KROG_LATENT, ("ecog", "child_pugh"), sd=0.25),
    "krog, stated sites": Known(KROG_LEVELS, KROG_LATENT, ("ecog", "child_pugh"), **STATED),
    "no covariates": Known(sd=0.5, median=12.0, shape=1.6, guarantee=0.0),
    "one covariate": Known({"x": ((0.3, 0.7), (0.0, -1.2))}, {}, ("x",), family="exponential", median=20.0, sd=1.0),
    "two, unlike": Known(
        *({"x": ((0.6, 0.4), (0.0, 0.9)), "y": ((0.7, 0.3), (0.0, 1.5))}, {("x", "y"): -0.55}, ("x", "y")),
        **{"guarantee": 0.0, "median": 9.0, "shape": 1.4, "sd": 3.0},
    ),
    "three levels": Known(
        {"x": ((0.5, 0.3, 0.2), (0.0, 0.4, 0.9)), "y": ((0.6, 0.4), (0.0, 0.7)), "z": ((0.2, 0.3, 0.5), (0.0, -0.3, 0.2))},
        {("x", "y"): 0.5, ("y", "z"): -0.4, ("x", "z"): 0.1},
        ("x", "y"),
        **STATED,
    ),
}


# Population --------------------------------------------------------------------------------------------------
def shares_of(known):
    """The package's population as a mapping of patterns to shares."""
    people = sw.population(known.scenario())
    codes = [people.covariates[name].cat.codes for name in known.levels]
    return dict(zip(zip(*codes, strict=True), people.weights, strict=True)) if codes else {(): people.weights[0]}


@pytest.mark.parametrize(
    "correlation",
    [np.array([[1, r], [r, 1]]) for r in (-0.9, -0.3, 0.0, 0.5, 0.95)]
    + [np.array([[1, 0.4, -0.3], [0.4, 1, 0.5], [-0.3, 0.5, 1]]), 0.6 * np.ones((4, 4)) + 0.4 * np.eye(4)],
    ids=str,
)
def test_the_oracle_is_scipys(correlation):
    """Dimension two is exact in scipy; beyond, it integrates by lattice rules to the error asked for, 1e-7."""
    size = len(correlation)
    bounds = np.array([0.3, -0.7, 1.1, 0.2])[:size]
    expected = stats.multivariate_normal.cdf(
        bounds, cov=correlation, abseps=1e-7, releps=0, maxpts=20_000_000, rng=np.random.default_rng(1)
    )
    assert float(below(bounds, correlation)) == pytest.approx(expected, rel=0, abs=1e-14 if size == 2 else 3e-7)


def test_the_oracle_is_sheppards_orthant():
    """P(X > 0, Y > 0) = 1/4 + arcsin(rho) / 2 pi, and with three variables 1/8 + the sum of the three over 4 pi."""
    zero = np.zeros(3)
    correlation = np.array([[1, 0.4, -0.3], [0.4, 1, 0.5], [-0.3, 0.5, 1]])
    assert float(below(zero[:2], correlation[:2, :2])) == pytest.approx(0.25 + np.arcsin(0.4) / (2 * np.pi), abs=1e-15)
    arcs = np.arcsin([0.4, -0.3, 0.5]).sum()
    assert float(below(zero, correlation)) == pytest.approx(1 / 8 + arcs / (4 * np.pi), abs=1e-15)


@pytest.mark.parametrize("name", KNOWN)
def test_shares_of_patterns(name):
    known = KNOWN[name]
    found = shares_of(known)
    assert sum(found.values()) == pytest.approx(1, abs=1e-14)
    assert len(found) == len(known.patterns)
    for pattern, expected in zip(known.patterns, known.probabilities, strict=True):
        assert found[tuple(pattern)] == pytest.approx(expected, rel=0, abs=SHARES)


@pytest.mark.parametrize("name", KNOWN)
def test_margins_of_the_population(name):
    """The shares stated, whatever the dependence."""
    found = shares_of(KNOWN[name])
    for place, (shares, _) in enumerate(KNOWN[name].levels.values()):
        for level, share in enumerate(shares):
            margin = sum(value for pattern, value in found.items() if pattern[place] == level)
            assert margin == pytest.approx(share, rel=0, abs=SHARES)


@pytest.mark.parametrize("correlation", [-0.9, -0.3, 0.2, 0.5, 0.8, 0.95])
@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.1, 0.9), (0.02, 0.98)])
def test_pairs_are_exact_bivariate_orthants(shares, correlation):
    known = Known({"x": (shares, (0.0, 0.0)), "y": ((0.3, 0.7), (0.0, 0.0))}, {("x", "y"): correlation}, sd=0.0)
    covariance = [[1.0, correlation], [correlation, 1.0]]
    expected = stats.multivariate_normal.cdf(stats.norm.ppf([shares[0], 0.3]), cov=covariance)
    assert shares_of(known)[0, 0] == pytest.approx(expected, rel=0, abs=SHARES)


def test_patterns_of_the_packaged_scenario_are_scipys():
    """All sixteen against scipy's own integration, whose error is a three-sigma bound of 1e-6."""
    known = KNOWN["krog"]
    found = shares_of(known)
    for pattern in known.patterns:
        low, high = ([known.cuts[k][level + side] for k, level in enumerate(pattern)] for side in (0, 1))
        expected = stats.multivariate_normal.cdf(
            high, lower_limit=low, cov=known.correlation, abseps=1e-6, releps=0, maxpts=2_000_000, rng=np.random.default_rng(2)
        )
        assert found[tuple(pattern)] == pytest.approx(expected, rel=0, abs=3e-6)


FIVE_LEVELS = {
    "a": ((0.3, 0.7), (0.0, 0.3)),
    "b": ((0.6, 0.4), (0.0, -0.5)),
    "c": ((0.3, 0.4, 0.3), (0.0, 0.2, 0.4)),
    "d": ((0.5, 0.5), (0.0, 0.6)),
    "e": ((0.1, 0.9), (0.0, 0.1)),
}


def test_shares_of_five_covariates():
    """Promised to 1e-9 up to four covariates and to 1e-5 beyond; five have sixteen nodes a dimension and reach 1e-7."""
    latent = dict.fromkeys(itertools.combinations(FIVE_LEVELS, 2), 0.3)
    known = Known(FIVE_LEVELS, latent, sd=0.0)
    found = shares_of(known)
    assert sum(found.values()) == pytest.approx(1, abs=1e-14)
    for place, (shares, _) in enumerate(FIVE_LEVELS.values()):
        for level, share in enumerate(shares):
            assert sum(value for row, value in found.items() if row[place] == level) == pytest.approx(share, rel=0, abs=1e-7)
    # A few patterns only: five dimensions cost the oracle a tenth of a second each.
    for pattern in ((0, 0, 0, 0, 0), (0, 0, 0, 0, 1), (1, 0, 0, 0, 0)):
        low, high = ([known.cuts[k][level + side] for k, level in enumerate(pattern)] for side in (0, 1))
        assert found[pattern] == pytest.approx(rectangle(low, high, known.correlation), rel=0, abs=1e-7)


def test_beyond_some_million_points_shares_are_good_to_1e_5():
    """Seven covariates with correlation .3, by a Sobol sequence: margins, and pairs against exact bivariate orthants."""
    names = [f"x{number}" for number in range(7)]
    shares = np.linspace(0.15, 0.8, 7)
    known = Known(
        {name: ((share, 1 - share), (0.0, 0.0)) for name, share in zip(names, shares.tolist(), strict=True)},
        dict.fromkeys(itertools.combinations(names, 2), 0.3),
        sd=0.0,
    )
    people = sw.population(known.scenario())
    first = (people.covariates[names] == "a").to_numpy()
    assert people.weights.sum() == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose(people.weights @ first, shares, rtol=0, atol=1e-5)
    for i, j in itertools.combinations(range(7), 2):
        expected = stats.multivariate_normal.cdf(stats.norm.ppf(shares[[i, j]]), cov=[[1, 0.3], [0.3, 1]])
        assert people.weights @ (first[:, i] & first[:, j]) == pytest.approx(expected, rel=0, abs=1e-5)


def test_the_population_is_a_cohort_that_says_what_it_is():
    people = sw.population(KNOWN["krog"].scenario())
    assert isinstance(people, sw.Cohort)
    assert people.synthetic is True
    assert people.source == "the population of scenario known"
    assert people.site is None
    assert len(people) == 16
    assert people.levels("ecog") == ("a", "b")
    assert len(sw.population(KNOWN["no covariates"].scenario())) == 1


# Groups ------------------------------------------------------------------------------------------------------
CASES = [
    (name, sites)
    for name, known in KNOWN.items()
    for sites in (("average", "marginal") if known.effects is None else ("average", "observed", "observed:s1"))
]


@pytest.mark.parametrize(("name", "sites"), CASES)
def test_groups(name, sites):
    """Survival, median and restricted mean of every group, to a relative error of 1e-8."""
    known = KNOWN[name]
    truth = sw.Truth.of(known.scenario())
    groups, members = known.risk_groups
    exponent = 1.0 if known.family == "exponential" else known.shape
    times = [known.guarantee + step for step in (0.25, 2.0, 6.0, 15.0)]
    survival = truth.survival(times, groups=groups, sites=TREATMENTS[sites])
    medians = truth.median_survival(groups=groups, sites=TREATMENTS[sites])
    areas = truth.rmst(groups=groups, sites=TREATMENTS[sites], horizon=24.0)
    assert list(survival.index) == list(medians.index) == list(areas.index) == list(members)
    for group, rows in members.items():
        assert known.probabilities[rows].sum() > 0.04
        curve = known.curve(rows, sites)
        expected = [curve(time) for time in times]
        np.testing.assert_allclose(survival.loc[group], expected, rtol=TOLERANCE)
        assert medians[group] == pytest.approx(median_of(curve, known.guarantee), rel=TOLERANCE)
        assert areas[group] == pytest.approx(area_of(curve, known.guarantee, 24.0, exponent), rel=TOLERANCE)


def test_the_packaged_scenario_reproduces_known_medians():
    """Anchors, computed here from the numbers above: the oracle says so first, then the package."""
    known, members = KNOWN["krog"], KNOWN["krog"].risk_groups[1]
    expected = [median_of(known.curve(rows, "average"), 1.95) for rows in members.values()]
    assert expected == pytest.approx([34.21, 14.86, 5.61], abs=0.005)
    packaged = sw.load_scenario("krog-20-04")
    groups = sw.RiskGroups.count_favourable(packaged.favourable)
    found = sw.Truth.of(packaged).median_survival(groups=groups, sites=sw.Average())
    assert list(found.index) == ["2 of 2 favourable", "1 of 2 favourable", "0 of 2 favourable"]
    assert list(found) == pytest.approx(expected, rel=TOLERANCE)


def test_before_the_guarantee_time_everyone_is_alive():
    truth = sw.Truth.of(KNOWN["krog"].scenario())
    survival = truth.survival([0.0, 1.0, 1.95], groups=EVERYONE, sites=sw.Marginal())
    assert survival.to_numpy().tolist() == [[1.0, 1.0, 1.0]]
    for horizon in (0.5, 1.95):
        assert truth.rmst(groups=EVERYONE, sites=sw.Marginal(), horizon=horizon)["all"] == horizon
    assert truth.rmst(groups=EVERYONE, sites=sw.Average(), horizon=1.95 + 1e-9)["all"] == pytest.approx(1.95, abs=2e-9)


def test_marginal_is_average_when_sites_do_not_differ():
    known = Known(KROG_LEVELS, KROG_LATENT, ("ecog",), sd=0.0)
    truth, groups = sw.Truth.of(known.scenario()), known.risk_groups[0]
    marginal, average = (truth.median_survival(groups=groups, sites=sites) for sites in (sw.Marginal(), sw.Average()))
    np.testing.assert_allclose(marginal, average, rtol=1e-12)


def test_hypothetical_people():
    """Profiles: a single curve each, exp(-H) with the log hazard ratios of the levels."""
    known = KNOWN["krog, stated sites"]
    truth = sw.Truth.of(known.scenario())
    profile = {"ecog": "b", "child_pugh": "a", "primary": "b", "interval": "a"}
    people = sw.Profiles({"someone": profile})
    at_s4 = truth.survival([10.0], groups=people, sites=sw.Observed("s4"))
    assert at_s4.loc["someone", 10.0] == pytest.approx(np.exp(-known.hazard(10.0) * np.exp(0.57 + 0.32 + 0.8)), rel=1e-12)
    median = truth.median_survival(groups=people, sites=sw.Average())["someone"]
    assert median == pytest.approx(1.95 + 38.4 * np.exp(-(0.57 + 0.32) / 0.762), rel=1e-12)


# A new site --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("prob", [0.95, 0.5])
def test_limits_of_a_new_site_are_quantiles_over_sites(prob):
    """Each functional falls as the site's hazard rises, so that its quantiles lie at the quantiles of the site effect."""
    known = KNOWN["krog"]
    groups, members = known.risk_groups
    table = sw.Truth.of(known.scenario()).estimands(groups=groups, sites=[sw.New()], times=[12.0], rmst_horizon=24.0, prob=prob)
    ends = stats.norm(0, known.sd).ppf([(1 - prob) / 2, 0.5, (1 + prob) / 2])
    for group, rows in members.items():
        weights = known.probabilities[rows] / known.probabilities[rows].sum()
        for estimand in ("median_survival", "survival", "rmst"):
            row = table[(table["group"] == group) & (table["estimand"] == estimand)].squeeze()
            expected = []
            for effect in ends:
                ratios = np.exp(known.log_ratios[rows] + effect)
                curve = averaged(known.hazard, weights, ratios, lambda function: function(0.0))
                expected.append(
                    {
                        "median_survival": lambda s: median_of(s, 1.95),
                        "survival": lambda s: s(12.0),
                        "rmst": lambda s: area_of(s, 1.95, 24.0, 0.762),
                    }[estimand](curve)
                )
            assert expected[0] > expected[1] > expected[2]
            assert [row["upper"], row["true_value"], row["lower"]] == pytest.approx(expected, rel=TOLERANCE)


def test_simulated_sites_fall_between_the_limits_as_often_as_stated():
    """Drawn sites of the package, survival of each by the closed form: 95 % inside, 50 % below the true value."""
    known = KNOWN["krog"]
    groups, members = known.risk_groups
    scenario = known.scenario(patients=5)
    effects = sw.simulate_many(scenario, 8000, seed=3).site_effects.ravel()
    table = sw.Truth.of(scenario).estimands(groups=groups, sites=[sw.New()], times=[12.0], rmst_horizon=24.0)
    for group, rows in members.items():
        weights = known.probabilities[rows] / known.probabilities[rows].sum()
        survival = np.exp(-known.hazard(12.0) * np.exp(np.add.outer(effects, known.log_ratios[rows]))) @ weights
        row = table[(table["group"] == group) & (table["estimand"] == "survival")].squeeze()
        inside = ((survival > row["lower"]) & (survival < row["upper"])).mean()
        assert abs(inside - 0.95) < FIVE * np.sqrt(0.95 * 0.05 / effects.size)
        assert abs((survival < row["true_value"]).mean() - 0.5) < FIVE * np.sqrt(0.25 / effects.size)


def test_table_of_estimands():
    """A row for every value: those of the single functions, with limits for a new site only."""
    known = KNOWN["krog"]
    truth, groups = sw.Truth.of(known.scenario()), known.risk_groups[0]
    sites = [sw.Average(), sw.Marginal(), sw.New()]
    table = truth.estimands(groups=groups, sites=sites, times=[6.0, 24.0], rmst_horizon=36.0)
    assert list(table.columns) == ["group", "sites", "estimand", "horizon", "true_value", "lower", "upper"]
    assert len(table) == 3 * 3 * 4
    limited = table["lower"].notna()
    assert (limited == table["upper"].notna()).all()
    assert (limited == (table["sites"] == "new")).all()
    assert (table.loc[limited, "lower"] < table.loc[limited, "true_value"]).all()
    assert (table.loc[limited, "true_value"] < table.loc[limited, "upper"]).all()
    for treatment in sites:
        survival = truth.survival([6.0, 24.0], groups=groups, sites=treatment)
        rmst = truth.rmst(groups=groups, sites=treatment, horizon=36.0)
        medians = truth.median_survival(groups=groups, sites=treatment)
        for group in medians.index:
            rows = table[(table["sites"] == treatment.label) & (table["group"] == group)]
            assert list(rows["estimand"]) == ["median_survival", "survival", "survival", "rmst"]
            np.testing.assert_array_equal(rows["horizon"], [np.nan, 6.0, 24.0, 36.0])
            assert list(rows["true_value"]) == [medians[group], *survival.loc[group], rmst[group]]


# A cohort's own patients and sites ---------------------------------------------------------------------------
@pytest.mark.parametrize("sites", ["average", "marginal", "observed", "observed:s1"])
@pytest.mark.parametrize("part", [False, True], ids=["cohort", "subset"])
def test_truth_of_a_cohort_is_about_its_own_members_and_sites(sites, part):
    """Members' covariates and sites are read from the cohort's table, the sites' effects from the simulated arrays."""
    known = KNOWN["krog"]
    made = sw.simulate_many(known.scenario(patients=60), 3, seed=21)
    cohort = made.cohort(2)
    keep = np.ones(60, dtype=bool)
    if part:
        keep = made.covariates["primary"][2] == 0
        cohort = cohort.subset(keep)
    truth = sw.Truth.of(cohort)
    groups, _ = known.risk_groups
    eta = sum(np.array(known.levels[name][1])[codes[2][keep]] for name, codes in made.covariates.items())
    effects = made.site_effects[2]
    own = effects[made.site[2][keep]]
    favourable = sum((made.covariates[name][2][keep] == 0).astype(int) for name in known.favourable)
    medians = truth.median_survival(groups=groups, sites=TREATMENTS[sites])
    survival = truth.survival([9.0], groups=groups, sites=TREATMENTS[sites])
    areas = truth.rmst(groups=groups, sites=TREATMENTS[sites], horizon=30.0)
    for number in range(3):
        rows = favourable == number
        weights = np.full(rows.sum(), 1 / rows.sum())
        shift = own[rows] if sites == "observed" else effects[1] if ":" in sites else 0.0
        mean = known.site_mean("marginal") if sites == "marginal" else lambda function: function(0.0)
        curve = averaged(known.hazard, weights, np.exp(eta[rows] + shift), mean)
        group = f"{number} of 2 favourable"
        assert survival.loc[group, 9.0] == pytest.approx(curve(9.0), rel=TOLERANCE)
        assert medians[group] == pytest.approx(median_of(curve, 1.95), rel=TOLERANCE)
        assert areas[group] == pytest.approx(area_of(curve, 1.95, 30.0, 0.762), rel=TOLERANCE)


def test_sites_are_found_by_name_not_by_place():
    """Labels whose natural order (2 before 10) is not the scenario's, and a site without patients."""
    labels, effects = ("10", "2", "empty", "1"), (0.9, -0.9, 3.0, 0.2)
    known = Known(effects=effects, site_shares=(0.45, 0.45, 0.005, 0.095), guarantee=0.0, shape=1.0)
    scenario = known.scenario(
        sites=sw.Sites(labels, known.site_shares, log_hazard_ratios=effects), margins="exact", patients=20
    )
    cohort = sw.simulate(scenario, 1)
    assert cohort.site_labels == ("1", "2", "10")
    truth = sw.Truth.of(cohort)
    for label, effect in zip(labels, effects, strict=True):
        found = truth.survival([5.0], groups=EVERYONE, sites=sw.Observed(label)).loc["all", 5.0]
        assert found == pytest.approx(np.exp(-known.hazard(5.0) * np.exp(effect)), rel=1e-12)
    own = truth.survival([5.0], groups=EVERYONE, sites=sw.Observed()).loc["all", 5.0]
    expected = np.exp(-known.hazard(5.0) * np.exp(np.repeat([0.9, -0.9, 0.2], [9, 9, 2]))).mean()
    assert own == pytest.approx(expected, rel=1e-12)


# Numeric covariates -----------------------------------------------------------------------------------------
NUMERIC = {
    "normal": (sw.Numeric("age", 0.03, 60.0, mean=62.0, sd=9.0), lambda z: 62 + 9 * z),
    "truncated": (
        sw.Numeric("age", 0.03, 60.0, mean=62.0, sd=9.0, lower=40.0, upper=70.0),
        lambda z: stats.truncnorm.ppf(stats.norm.cdf(z), -22 / 9, 8 / 9, 62, 9),
    ),
    "uniform": (sw.Numeric("age", 0.03, 60.0, "uniform", lower=40.0, upper=80.0), lambda z: 40 + 40 * stats.norm.cdf(z)),
}
WITH_AGE = Known(
    {"x": ((0.47, 0.53), (0.0, 0.57)), "y": ((0.5, 0.3, 0.2), (0.0, 0.88, 1.2))}, {("x", "y"): 0.5}, sd=0.25, guarantee=1.95
)
AGE_LATENT = np.array([0.4, -0.3])


@pytest.mark.parametrize("kind", NUMERIC)
def test_numeric_covariates(kind):
    """Over the latent variable z of age: patterns given z are rectangles of the conditional bivariate normal distribution.

    Tolerances: the population's 32 nodes of a numeric covariate are promised nothing by name; what is asked for is 1e-8 of
    everyone's survival, and 1e-7 of that of single levels, each of them a smooth step of the latent variable.
    """
    numeric, value = NUMERIC[kind]
    scenario = WITH_AGE.scenario(
        numeric=(numeric,),
        correlations=(
            sw.Correlation(("x", "y"), 0.5),
            *(sw.Correlation(("age", name), r) for name, r in zip("xy", AGE_LATENT.tolist(), strict=True)),
        ),
    )
    residual = WITH_AGE.correlation - np.outer(AGE_LATENT, AGE_LATENT)
    sd = np.sqrt(np.diag(residual))
    given = residual / np.outer(sd, sd)
    hazards = np.array([WITH_AGE.hazard(time) for time in (3.0, 12.0, 24.0)])

    def integrand(z):
        rows = []
        for pattern, ratio in zip(WITH_AGE.patterns, WITH_AGE.log_ratios, strict=True):
            low, high = (
                [(WITH_AGE.cuts[k][level + side] - AGE_LATENT[k] * z) / sd[k] for k, level in enumerate(pattern)]
                for side in (0, 1)
            )
            share = rectangle(low, high, given)
            survival = np.exp(-hazards * np.exp(ratio + 0.03 * (value(z) - 60)))
            rows.append(share * np.concatenate([[1.0, value(z)], survival]))
        return stats.norm.pdf(z) * np.array(rows)

    parts = [integrate.quad_vec(integrand, low, low + 4, epsabs=1e-11, epsrel=1e-11)[0] for low in (-8, -4, 0, 4)]
    expected = sum(parts)

    people = sw.population(scenario)
    codes = np.column_stack([people.covariates[name].cat.codes for name in "xy"])
    which = [(codes == pattern).all(axis=1) for pattern in WITH_AGE.patterns]
    assert people.weights.sum() == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose([people.weights[rows].sum() for rows in which], expected[:, 0], rtol=0, atol=SHARES)
    age = people.covariates["age"].to_numpy()
    found = [people.weights[rows] @ age[rows] for rows in which]
    np.testing.assert_allclose(found, expected[:, 1], rtol=0, atol=1e-6)
    assert people.weights @ age == pytest.approx(expected[:, 1].sum(), rel=1e-8)

    truth = sw.Truth.of(scenario)
    everyone = truth.survival([3.0, 12.0, 24.0], groups=EVERYONE, sites=sw.Average()).loc["all"]
    np.testing.assert_allclose(everyone, expected[:, 2:].sum(axis=0), rtol=TOLERANCE)
    levels = truth.survival([3.0, 12.0, 24.0], groups=sw.RiskGroups.by_level("y", people), sites=sw.Average())
    for level, label in enumerate("abc"):
        rows = WITH_AGE.patterns[:, 1] == level
        by_definition = expected[rows, 2:].sum(axis=0) / expected[rows, 0].sum()
        np.testing.assert_allclose(levels.loc[f"y = {label}"], by_definition, rtol=1e-7)


def test_a_numeric_covariate_and_marginal_sites():
    """Alone, a normal covariate with effect .03 and sd 9 is one more normal effect: with sites the variances add up."""
    known = Known(sd=0.25)
    scenario = known.scenario(numeric=(NUMERIC["normal"][0],))
    truth = sw.Truth.of(scenario)
    total = np.hypot(0.25, 0.03 * 9)
    for time in (3.0, 12.0, 24.0):
        hazard = known.hazard(time) * np.exp(0.03 * (62 - 60))
        expected = over_sites(lambda b, h=hazard: np.exp(-h * np.exp(b)), total)
        found = truth.survival([time], groups=EVERYONE, sites=sw.Marginal()).loc["all", time]
        assert found == pytest.approx(expected, rel=TOLERANCE)


# A million simulated patients ----------------------------------------------------------------------------------
TIMES = [3.0, 6.0, 12.0, 24.0, 48.0]


def favourable_of(made, known):
    return sum((made.covariates[name] == 0).astype(int) for name in known.favourable)


def test_marginal_survival_is_that_of_many_cohorts():
    """Ten thousand cohorts of a hundred uncensored patients, each with sites of its own.

    The share alive in a group is a ratio of totals; its standard error is that of a ratio with cohorts as clusters, because
    patients of a cohort share its sites.
    """
    known = KNOWN["krog"]
    made = sw.simulate_many(known.scenario(), 10_000, seed=17)
    assert made.event.all()
    groups, members = known.risk_groups
    expected = sw.Truth.of(known.scenario()).survival(TIMES, groups=groups, sites=sw.Marginal())
    favourable = favourable_of(made, known)
    for group, number in zip(members, (2, 1, 0), strict=True):
        belongs = favourable == number
        size = belongs.sum(axis=1)
        for time in TIMES:
            alive = (belongs & (made.time > time)).sum(axis=1)
            share = alive.sum() / size.sum()
            error = np.sqrt(((alive - share * size) ** 2).sum()) / size.sum()
            assert abs(share - expected.loc[group, time]) < FIVE * error


def test_observed_survival_is_that_of_one_large_cohort():
    """A million patients at sites with stated effects; at the sites together, and at one of them."""
    known = KNOWN["krog, stated sites"]
    scenario = known.scenario(patients=10**6)
    made = sw.simulate_many(scenario, 1, seed=18)
    truth, (groups, members) = sw.Truth.of(scenario), known.risk_groups
    favourable = favourable_of(made, known)[0]
    for sites, here in ((sw.Observed(), True), (sw.Observed("s1"), made.site[0] == 1)):
        expected = truth.survival(TIMES, groups=groups, sites=sites)
        for group, number in zip(members, (2, 1, 0), strict=True):
            times = made.time[0][(favourable == number) & here]
            for time in TIMES:
                share = expected.loc[group, time]
                error = np.sqrt(share * (1 - share) / times.size)
                assert abs((times > time).mean() - share) < FIVE * error


def test_survival_with_numeric_covariates_is_that_of_one_large_cohort():
    """Two numeric covariates correlated with each other and with levels: medians and restricted means too."""
    known = Known({"x": ((0.47, 0.53), (0.0, 0.57))}, {}, ("x",), sd=0.0, guarantee=1.0)
    scenario = known.scenario(
        patients=10**6,
        numeric=(NUMERIC["truncated"][0], sw.Numeric("dose", -0.05, 10.0, "uniform", lower=0.0, upper=20.0)),
        correlations=(
            sw.Correlation(("age", "dose"), 0.5),
            sw.Correlation(("age", "x"), 0.6),
            sw.Correlation(("dose", "x"), -0.2),
        ),
    )
    made = sw.simulate_many(scenario, 1, seed=19)
    truth, (groups, members) = sw.Truth.of(scenario), known.risk_groups
    survival = truth.survival(TIMES, groups=groups, sites=sw.Average())
    medians = truth.median_survival(groups=groups, sites=sw.Average())
    areas = truth.rmst(groups=groups, sites=sw.Average(), horizon=36.0)
    for group, number in zip(members, (1, 0), strict=True):
        times = made.time[0][favourable_of(made, known)[0] == number]
        for time in TIMES:
            share = survival.loc[group, time]
            assert abs((times > time).mean() - share) < FIVE * np.sqrt(share * (1 - share) / times.size)
        assert abs((times > medians[group]).mean() - 0.5) < FIVE * np.sqrt(0.25 / times.size)
        lived = np.minimum(times, 36.0)
        assert abs(lived.mean() - areas[group]) < FIVE * lived.std() / np.sqrt(times.size)


# Questions without an answer ---------------------------------------------------------------------------------
@dataclass(frozen=True)
class Labelled:
    label: str


REFUSED = {
    "an unknown treatment": ("krog", Labelled("averge"), "There is no site treatment 'averge'."),
    "an unknown site": ("krog, stated sites", sw.Observed("s9"), "There is no site 's9'. Known: 's0', 's1', 's2', 's3', 's4'."),
    "sites of a population that draws them": (
        "krog",
        sw.Observed(),
        "The scenario's sites are drawn anew for each cohort, so that none is observed.",
    ),
    "one site of a population that draws them": (
        "krog",
        sw.Observed("s1"),
        "The scenario's sites are drawn anew for each cohort, so that none is observed.",
    ),
    "a population of sites with stated effects": (
        "krog, stated sites",
        sw.Marginal(),
        "Sites with stated effects have no distribution: 'marginal' means nothing here.",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_questions_without_an_answer(name):
    known, sites, message = REFUSED[name]
    truth = sw.Truth.of(KNOWN[known].scenario())
    for ask in (truth.median_survival, lambda **of: truth.survival([1.0], **of), lambda **of: truth.rmst(horizon=9.0, **of)):
        with pytest.raises(ScenarioError) as caught:
            ask(groups=EVERYONE, sites=sites)
        assert str(caught.value) == message


def test_a_new_site_of_sites_with_stated_effects_has_no_limits():
    truth = sw.Truth.of(KNOWN["krog, stated sites"].scenario())
    with pytest.raises(ScenarioError, match="no distribution: 'new' means nothing here"):
        truth.estimands(groups=EVERYONE, sites=[sw.New()], times=[1.0], rmst_horizon=9.0)


def test_hypothetical_people_of_a_cohort_have_no_site_of_their_own():
    cohort = sw.simulate(KNOWN["krog"].scenario(), 1)
    people = sw.Profiles({"someone": {"ecog": "b", "child_pugh": "a", "primary": "b", "interval": "a"}})
    with pytest.raises(ScenarioError, match="Group 'someone' is of people without a site of their own"):
        sw.Truth.of(cohort).survival([1.0], groups=people, sites=sw.Observed())


def test_a_cohort_that_does_not_know_its_scenario():
    cohort = sw.simulate(KNOWN["krog"].scenario(), 1)
    object.__setattr__(cohort, "scenario", None)
    with pytest.raises(ScenarioError, match="This cohort does not know the scenario that it came from"):
        sw.Truth.of(cohort)
