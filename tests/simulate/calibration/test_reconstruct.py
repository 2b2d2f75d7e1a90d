"""Reconstructed cohorts print the paper's numbers by other people's code, and the annealing knows what they miss."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

import sitewise as sw
from sitewise.simulate.calibration import Assumptions, Produced, calibrate
from sitewise.simulate.calibration.annealing import costs
from sitewise.simulate.calibration.reconstruct import STAGE, reconstruct_cohorts
from sitewise.simulate.calibration.reconstruct_arrays import Plan

STEPS = 300_000


@pytest.fixture(scope="module")
def few(printed):
    """A paper of one hazard ratio, one median, one milestone and follow-up: annealed in no time."""
    return replace(printed, model=printed.model[:1], survival=printed.survival[:2])


@pytest.fixture(scope="module")
def easy(few):
    return calibrate(few, seed=2, cohorts=100, pool=3000, workers=2)


@pytest.fixture(scope="module")
def made(easy):
    return easy.reconstruct(3, seed=4, steps=STEPS, workers=2)


def columns(table):
    return {"ecog": table["ecog"] == "1", "stage": table["stage"] == "II"}


def shown(value, digits):
    return f"{value:.{digits}f}"


def test_every_number_is_printed_again(make, few, made):
    """Rounded as the paper rounds: hazard ratio and limits to two decimals, the median to a month, follow-up to a tenth."""
    assert made.misses().empty
    (term,) = few.model[0].term
    follow = few.follow_up[0]
    for number in range(3):
        table = made.table(number)
        (beta,), (error,) = make.cox(table, {"ecog": table["ecog"] == "1"})
        assert shown(np.exp(beta), 2) == shown(term.hazard_ratio, 2)
        # Limits move with the boxes of the log ratio (.002) and of the log standard error (.006, times 1.96 x .27).
        for sign, limit in ((-1, term.lower), (1, term.upper)):
            assert np.exp(beta + sign * 1.96 * error) == pytest.approx(limit, rel=0.006)
        fit = make.curve(table["time"], table["event"])
        assert make.has_median(fit, few.survival[0].median, 0.5)
        assert shown(float(fit.predict(24)), 2) == shown(few.survival[1].survival, 2)
        assert shown(table["time"].median(), 1) == shown(follow.median, 1)
        assert [shown(table["time"].agg(end), 1) for end in ("min", "max")] == [shown(end, 1) for end in follow.range]


def test_what_the_paper_counts_is_exact_and_the_rest_differs(few, made):
    tables = [made.table(number) for number in range(3)]
    for table in tables:
        for item in few.categorical:
            if item.name in table:
                assert table[item.name].value_counts().to_dict() == item.levels
        assert table["time"].is_unique
        assert (table["time"] > 0).all()
    for number, table in enumerate(tables):
        for other in tables[:number]:
            assert not np.isin(table["time"], other["time"]).any()
            assert (table["site"].to_numpy() != other["site"].to_numpy()).any()
    assert (
        len({table["event"].sum() for table in tables}) > 1
        or len({table["site"].value_counts().iloc[0] for table in tables}) > 1
    )


def test_sites_are_assigned_at_random(easy, made):
    """Nobody's site follows from their time: a rank correlation of all patients together within its error."""
    from scipy.stats import spearmanr

    pooled = made.frame()
    sizes = pooled.groupby("cohort", observed=True)["site"].value_counts().unstack(fill_value=0)
    assert (sizes.sum(axis=1) == easy.problem.structure.patients).all()
    assert abs(spearmanr(pooled["site"].cat.codes, pooled["time"]).statistic) < 4.5 / np.sqrt(len(pooled))


def test_results_do_not_depend_on_workers_and_other_seeds_differ(easy, made):
    alone = easy.reconstruct(3, seed=4, steps=STEPS, workers=1)
    for name in ("time", "event", "site"):
        np.testing.assert_array_equal(getattr(alone.cohorts, name), getattr(made.cohorts, name))
    np.testing.assert_array_equal(alone.cohorts.factors["ecog"], made.cohorts.factors["ecog"])
    np.testing.assert_array_equal(alone.statistics, made.statistics)
    other = easy.reconstruct(1, seed=5, steps=2000, workers=1)
    assert not np.isin(other.cohorts.time[0], made.cohorts.time[0]).any()


def test_progress_is_told_cohort_by_cohort(easy):
    told = []
    easy.reconstruct(2, seed=1, steps=100, workers=1, report=told.append)
    assert sum("of 2 cohorts" in line for line in told) >= 2


def test_the_range_of_those_alive_is_of_those_alive(make):
    """Deaths in the first year, and a shortest follow-up of those alive of a year: every number is printed, nobody is moved."""
    paper = make.evidence(
        survival=[{"id": "os", "median": 20}, {"id": "half-year", "time": 6, "survival": 0.8}],
        follow_up=[{"median": 30, "range": [12, 60], "definition": "alive-only"}],
    )
    found = calibrate(paper, seed=2, cohorts=100, pool=2000, workers=2).reconstruct(2, seed=1, steps=STEPS, workers=2)
    assert found.misses().empty
    for number in range(2):
        table = found.table(number)
        alive = table["time"][table["event"] == 0]
        assert [shown(alive.agg(end), 0) for end in ("min", "median", "max")] == ["12", "30", "60"]
        assert (table["time"] < 6).sum() >= 12  # a fifth of 80 died in the first six months, within the rounding


# Costs -------------------------------------------------------------------------------------------------


def cost_by_others(make, plan, table):
    """The squared tolerances that a cohort misses its targets by, from statsmodels' scores and lifelines' curves."""
    from statsmodels.duration.hazard_regression import PHReg

    problem = plan.problem
    _, rows, _, low, high, values, half, tolerance, _ = plan.target_arrays(problem.published)
    targets = [problem.targets[place] for place in plan.order]
    count = (table["ecog"] == "0").astype(int) + (table["stage"] == "I").astype(int)
    total = 0.0
    for place, target in enumerate(targets):
        if target.model is not None:
            terms = problem.evidence.model[target.model].term
            published = [item.value for item in targets if item.model == target.model and item.kind == "log_hazard_ratio"]
            design = np.column_stack([columns(table)[item.covariate] for item in terms]).astype(float)
            model = PHReg(table["time"], design, status=table["event"], ties="breslow")
            inverse = np.linalg.inv(-model.hessian(np.array(published)))
            if target.kind == "log_hazard_ratio":
                off = (inverse @ model.score(np.array(published)))[rows[place]]
            else:
                off = 0.5 * np.log(inverse[rows[place], rows[place]]) - values[place]
            total += (off / tolerance[place]) ** 2
        elif target.kind == "survival":
            own = table if target.group is None else table[count == target.group]
            curve = make.curve(own["time"], own["event"])
            first, last = float(curve.predict(low[place])), float(curve.predict(high[place]))
            if target.rounds_time:
                off = max(0.5 + 1e-9 - first, 0.0) + max(last - 0.5 - 1e-9, 0.0)  # above a half, then not
            else:
                off = max(abs(first - values[place]) - half[place], 0.0)
            total += (off / tolerance[place]) ** 2 + (costs.OUTSIDE if off > 0 else 0.0)
        else:
            time = table["time"]
            found = {"follow_up_share": time.median(), "log_shortest": time.min(), "log_longest": time.max()}[target.kind]
            total += (max(found - high[place], low[place] - found, 0.0) / tolerance[place]) ** 2
    return total


@pytest.mark.parametrize("steps", [0, 3000])
def test_costs_are_what_the_cohort_misses(make, calibrated, steps):
    """Of a cohort as simulated, far from the paper, and of one that is annealed a little."""
    problem = calibrated.problem
    theta = calibrated.draws[0][:2]
    made = reconstruct_cohorts(problem, theta, seed=6, steps=steps)
    produced = Produced("reconstruct", problem, made.cohorts, theta, made.draw, 6, made.statistics)
    plan = Plan.of(problem)
    for number in range(2):
        expected = cost_by_others(make, plan, produced.table(number))
        assert made.cost[number] == pytest.approx(expected, rel=1e-5)
        assert expected > 100
    np.testing.assert_allclose(made.statistics, problem.statistics(made.cohorts))


def test_a_newton_step_near_the_solution_is_the_whole_way(make, calibrated):
    """The annealing judges a model by its score at the published ratios: nearly annealed, full fits are there, too."""
    made = calibrated.reconstruct(1, seed=3, steps=STEPS, workers=1)
    table = made.table(0)
    beta, error = make.cox(table, columns(table))
    targets = {item.id: item for item in calibrated.problem.targets}
    for name, own, spread in zip(("ecog[1]", "stage[II]"), beta, error, strict=True):
        assert own == pytest.approx(targets[f"adjusted: {name}, log hazard ratio"].value, abs=0.01)
        assert np.log(spread) == pytest.approx(targets[f"adjusted: {name}, log standard error"].value, abs=0.02)
    ids = [item.id for item in calibrated.problem.targets]
    assert made.statistics[0, ids.index("adjusted: ecog[1], log hazard ratio")] == pytest.approx(beta[0], abs=1e-6)


def test_misses_are_what_would_be_printed_otherwise(make, printed, calibrated):
    """Of cohorts that are no reconstructions most numbers are misses: the same by lifelines' medians and rounding."""
    produced = calibrated.replicate(12, seed=3)
    misses = produced.misses()
    named = set(zip(misses["cohort"], misses["target"], strict=True))
    follow = printed.follow_up[0]
    for number in range(12):
        table = produced.table(number)
        count = (table["ecog"] == "0").astype(int) + (table["stage"] == "I").astype(int)
        for item in printed.survival:
            own = table if item.count_favourable is None else table[count == item.count_favourable]
            curve = make.curve(own["time"], own["event"])
            if item.median is not None:
                missed = not make.has_median(curve, item.median, 0.5)
            else:
                missed = abs(float(curve.predict(item.time)) - item.survival) > 0.005
            assert ((number, item.id) in named) == missed
        for what, found, value in zip(
            ("shortest", "longest"), (table["time"].min(), table["time"].max()), follow.range, strict=True
        ):
            assert ((number, f"follow_up: {what}") in named) == (abs(found - value) > 0.05)
        beta, _ = make.cox(table, {"ecog": columns(table)["ecog"]})
        ratio = printed.model[0].term[0].hazard_ratio
        if abs(np.exp(beta[0]) - ratio) > 0.005:
            assert (number, "unadjusted ecog: ecog[1], log hazard ratio") in named
    assert (misses["off"] > 0).all()


def test_what_is_not_printed_stays_as_the_process_has_it(make, few):
    """An effect and a dependence that no target holds: moves that are free to destroy them do not.

    Mean log hazard ratio of stage in 12 cohorts of 90, standard error about .28 each; and the patients at the worse level
    of both, against scipy's bivariate normal probability.
    """
    levels = {item.name: list(item.levels.values()) for item in few.categorical}
    joint = {"between": ["ecog", "stage"], "status": "held_out"}
    table = {
        "0": {"I": levels["stage"][0], "II": levels["ecog"][0] - levels["stage"][0]},
        "1": {"I": 0, "II": levels["ecog"][1]},
    }
    held_out = make.evidence(
        patients=few.source.patients,
        categorical=[item.to_dict() for item in few.categorical],
        joint=[joint | {"counts": table}],
    )
    problem = make.problem(replace(few, joint=held_out.joint), Assumptions(free=("stage",), site_sd=0.0))
    rho, effect = 0.75, 1.2
    theta = make.row(
        problem,
        log_median=np.log(16.0),
        log_hazard_ratio_ecog=0.5,
        log_hazard_ratio_stage=effect,
        atanh_correlation=np.arctanh(rho),
        log_censoring_scale=np.log(40.0),
    )
    theta = np.broadcast_to(theta, (12, len(theta)))
    made = reconstruct_cohorts(problem, theta, seed=3, steps=60_000, workers=2)
    produced = Produced("reconstruct", problem, made.cohorts, theta, made.draw, 3, made.statistics)
    tables = [produced.table(number) for number in range(12)]
    found = [make.cox(table, columns(table))[0][1] for table in tables]
    assert np.mean(found) == pytest.approx(effect, abs=4 * 0.28 / np.sqrt(12))
    thresholds = stats.norm.ppf(np.array([levels["ecog"][0], levels["stage"][0]]) / few.source.patients)
    poor = 1 - stats.norm.cdf(thresholds).sum() + stats.multivariate_normal.cdf(thresholds, cov=[[1, rho], [rho, 1]])
    both = [np.logical_and(*columns(table).values()).sum() for table in tables]
    assert np.mean(both) == pytest.approx(few.source.patients * poor, abs=4 * 2.0 / np.sqrt(12))  # sd of one cohort's about 2


def test_the_shortest_follow_up_is_met_whatever_the_guarantee_time(make, few):
    """A guarantee time just below the end of the box of what is printed."""
    problem = make.problem(few)
    shortest = few.follow_up[0].range[0]
    theta = make.row(problem, logit_guarantee=5.0, log_median=np.log(14.0), log_censoring_scale=np.log(40.0))[None]
    assert problem.parameters.guarantee_limit == pytest.approx(shortest + 0.05)
    made = reconstruct_cohorts(problem, theta, seed=3, steps=40_000)
    assert shortest + 0.04 < made.cohorts.time.min() <= shortest + 0.05


def test_conditions_are_met(make):
    """'Not reached' in one of two arms."""
    arm = {"name": "arm", "levels": {"a": 30, "b": 30}}
    paper = make.evidence(
        patients=60,
        categorical=[arm],
        model=[{"term": [make.term("arm", ["b"], ["a"], ratio=0.4, error=0.4)]}],
        survival=[
            {"id": "a", "group": {"arm": ["a"]}, "median": 12},
            {"id": "b", "group": {"arm": ["b"]}, "median": "not reached"},
        ],
    )
    made = calibrate(paper, seed=1, cohorts=60, pool=8000, workers=2).reconstruct(2, seed=1, steps=60_000, workers=2)
    for number in range(2):
        table = made.table(number)
        curves = {level: make.curve(own["time"], own["event"]) for level, own in table.groupby("arm", observed=True)}
        assert make.has_median(curves["a"], 12, 0.5)
        assert np.isinf(curves["b"].median_survival_time_)


def test_krog_is_nearer_in_every_number_after_a_short_annealing(make):
    """From cohorts without effects and dependence: two of them, on average over both, or inside the box."""
    problem = make.problem(sw.load_evidence("krog-20-04"))
    theta = np.broadcast_to(problem.parameters.mean, (2, len(problem.parameters))).copy()
    begun = problem.generator(theta, problem.randomness(8, 2, stage=STAGE))
    made = reconstruct_cohorts(problem, theta, seed=8, steps=150_000, workers=2)
    draw = np.zeros(2, dtype=np.intp)
    off = []
    for cohorts, statistics in ((begun, problem.statistics(begun)), (made.cohorts, made.statistics)):
        misses = Produced("reconstruct", problem, cohorts, theta, draw, 8, statistics).misses()
        off.append(misses.groupby("target")["off"].sum())
    before, after = off
    assert len(before) > 30
    for target, own in after.items():
        assert own < before.get(target, 0.0), target
    assert after.sum() < 0.3 * before.sum()
