# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # The prospective trial
#
# The paper ends with "prospective trials are needed". This notebook starts there: from what a retrospective cohort says, with
# all that it leaves open, to a trial and what that trial can be expected to show. It
#
# 1. says what is taken as true, and whose treatment the cohort describes;
# 2. assesses a first design, one arm held against the cohort;
# 3. finds what no number of patients can mend: the cohort that the arm is held against;
# 4. randomises, and lets one arm borrow from the cohort;
# 5. forecasts when patients and events come, before the start and from interim data;
# 6. changes one thing at a time, and looks for the smallest trial;
# 7. holds the fast analyses beside the full model and NUTS.
#
# The patients behind it are **synthetic**: cohorts that have the tables of KROG 20-04 (Kim et al., Cancers 2022), not its
# patients. Effects, rates and costs are assumptions that serve as examples.

# %%
import os

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython import get_ipython
from IPython.display import Markdown

import sitewise as sw
from sitewise.report import style
from sitewise.report.plot_trial_borrowing import plot_borrowing
from sitewise.report.plot_trial_forecast import plot_forecast
from sitewise.report.plot_trial_size import plot_size
from sitewise.report.plot_trial_stops import plot_stops
from sitewise.report.plot_trial_traces import plot_traces
from sitewise.report.plot_trial_truth import plot_truth
from sitewise.report.trial_drift import swept
from sitewise.report.trial_values import Values
from sitewise.trial.truth.averages import AveragedCurve

get_ipython().run_line_magic("matplotlib", "inline")
plt.rcParams.update({**style.SETTINGS, "figure.dpi": 70, "font.size": 9})
pd.set_option("display.width", 130)

# %% [markdown]
# How much is computed: `SITEWISE_NOTEBOOK_SIZE=small` makes everything quick and rough. What is said below is of `full`.

# %%
SMALL = os.environ.get("SITEWISE_NOTEBOOK_SIZE", "full") == "small"
TRIALS, MANY, FULL_MODEL, BY_NUTS = (200, 400, 20, 2) if SMALL else (2000, 4000, 200, 12)
WORKERS = 2


def shown(figure):
    """Mark a figure as being of synthetic patients."""
    style.mark_synthetic(figure)
    return figure


# %% [markdown]
# ## What is taken as true
#
# A design is a file, `TRIAL.toml`. Four are packaged; this one holds a new systemic agent after radiotherapy against KROG. Its
# truth is not a number but 1000 joint draws: of the baseline, of what risk factors do, of how much hospitals differ. Every
# simulated trial takes one draw and opens at **new** hospitals.

# %%
first = sw.trial.read_design(sw.trial.trial_path("krog-single-arm"))
cohorts = sw.trial.cohorts_of(first)
truth = cohorts.truth
Markdown(f"> {truth.sentence}")

# %% [markdown]
# Two sentences in there matter more than the numbers. All KROG patients had radiotherapy and none had the agent: in *this*
# trial they are the **control** arm, and a file that does not say so is refused. And the **guarantee time** is gone: a patient
# of the cohort had to live until the treatment, a patient of the trial can die the day after enrolment.

# %%
times = np.linspace(0, 60, 61)
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.1), width_ratios=[1.4, 1])
for place, group in enumerate(truth.groups):
    curves = AveragedCurve.of(truth, arm="control", group=group).survival(times)
    low, middle, high = np.quantile(curves, [0.025, 0.5, 0.975], axis=0)
    left.fill_between(times, low, high, color=style.PALETTE[place], alpha=0.2, lw=0)
    left.plot(times, middle, color=style.PALETTE[place], label=group)
left.set(xlabel="months since enrolment", ylabel="survival", ylim=(0, 1), title="Radiotherapy alone, averaged over new sites")
left.legend(fontsize=8)

good = truth.groups[0]
average = AveragedCurve.of(truth, arm="control", group=good).survival([24.0])[:, 0]
effects = truth.site_sd * np.random.default_rng(1).standard_normal(truth.rows)
one_site = AveragedCurve.of(truth.with_site_sd(0.0), arm="control", group=good).survival([24.0], shift=effects)[:, 0]
for place, (label, draws) in enumerate({"averaged over sites": average, "at one new site": one_site}.items()):
    counts, edges = np.histogram(draws, bins=np.linspace(0, 1, 31), density=True)
    right.stairs(counts, edges, fill=True, alpha=0.45, color=style.PALETTE[place], label=label)
    low, middle, high = np.quantile(draws, [0.025, 0.5, 0.975])
    print(f"two-year survival, {good}, {label}: {middle:.2f} ({low:.2f} to {high:.2f})")
right.set(xlabel="two-year survival", yticks=[], title=good)
right.legend(fontsize=8, loc="upper left")
figure.tight_layout()

# %% [markdown]
# ## A first design
#
# One arm, 110 patients at 8 hospitals, one interim look. Success is a posterior probability above 0.95 of a hazard ratio below
# one, against the cohort, whose own uncertainty is part of the comparison. For speed the analysis is here the conjugate one
# (`changed` gives a design with one thing different); the full model comes at the end. What the design file takes as true (the
# *design prior*) and what the trial's analysis believes beforehand (the *analysis prior*) are separate tables of it.

# %%
first = first.changed({"analysis.method": "conjugate", "simulation.trials": TRIALS, "simulation.nuts_trials": 0})
found = sw.trial.assess(first, workers=WORKERS)
for flag in found.flags:
    print("*", flag)


# %%
def table_of(assessed):
    """Return what matters of each scenario, with Monte Carlo standard errors."""
    values = Values.of(assessed)
    rows = {
        world.name: {
            "type I error" if world.null else "success": values(world.name, "success").probability,
            **{name: values(world.name, name).probability for name in ("futility",)},
            **{name: values(world.name, name).mean() for name in ("patients", "events", "duration")},
        }
        for world in assessed.results.worlds
    }
    columns = ["success", "type I error", "futility", "patients", "events", "duration"]
    return pd.DataFrame.from_dict(rows, orient="index").reindex(columns=columns).fillna("")


table_of(found)

# %%
shown(plot_stops(found))

# %% [markdown]
# Each bar is one world. As planned, fewer than half of the trials succeed, and almost as many stop as hopeless. Where the agent
# does nothing, 5 to 8 % of trials claim success, most where hospitals differ much (sd 0.5). The nominal level is 5 %, but two
# looks at the same threshold are two chances, this analysis knows nothing of hospitals, and nothing was calibrated. Much worse
# is the bar in which the agent does nothing but the trial's patients are healthier than the cohort's: almost a quarter succeed.
# No analysis of a single arm can tell that from a working agent.
#
# What a monitoring committee would see, one trial for each way of ending:

# %%
shown(plot_traces(found))

# %% [markdown]
# ## Why assurance is not power
#
# Power is the probability of success if the hazard ratio **is** 0.65. Assurance is the probability of success given all that
# is uncertain about it, and about everything else. Success can be split by whether it would be right: whether the hazard ratio
# of that world is below one.

# %%
known = sw.trial.assess(first.changed({"truth.effect.sd": 0.0}), workers=WORKERS, curve=False)
values = Values.of(found)
print(f"success if the hazard ratio is 0.65:     {Values.of(known)('planned', 'success').probability}")
print(f"success, hazard ratio uncertain:         {values('planned', 'success').probability}")
print(f"the agent works at all:                  {values('planned', 'success is right').probability}")
print(f"success and the agent works:             {values('planned', 'success and true').probability}")
print(f"success though it does not:              {values('planned', 'success and untrue').probability}")
shown(plot_truth(found))

# %% [markdown]
# Assurance is here the *larger* of the two, as it mostly is where power is below one half: uncertainty draws both ends to the
# middle. The agent works in almost all worlds that are taken as possible, and still most trials do not succeed. Would more
# patients help?

# %%
print(f"a trial without end: {found.ceiling:.3f}")
shown(plot_size(found))

# %% [markdown]
# No. From some 100 patients on the curve is flat, below its ceiling: that of a trial without end, which would know its own arm
# exactly. That hospitals differ costs little here; the two lines differ by no more than Monte Carlo error, since eight
# hospitals average out and the cohort's own uncertainty is much larger. What sets the ceiling can be computed without a
# simulation.
#
# ## The price of an uncertain benchmark
#
# The log hazard of the cohort is known with some standard deviation; one over its square is the number of events that it is
# worth. With d1 events in the trial and d0 in the benchmark the variance of the log hazard ratio is 1/d1 + 1/d0, and only the
# first part falls with size.

# %%
formulas = sw.trial.closed_form
worth = cohorts.benchmark.log_hazard_sd**-2
prior = formulas.NormalPrior(np.log(0.65), 0.20)
events = np.geomspace(5, 2000, 80)
figure, axes = plt.subplots(figsize=(6.5, 3.2))
for place, d0 in enumerate((worth, 60.0, 250.0, 1e9)):
    # Of a randomised trial the variance is 4 / events.
    equal = 4 / (1 / events + 1 / d0)
    curve = [formulas.log_hazard_ratio_assurance(prior, events=float(one), alpha=0.05) for one in equal]
    label = "known" if d0 > 1e6 else f"worth {d0:.0f} events"
    label += " (KROG)" if d0 == worth else ""
    axes.plot(events, curve, color=style.PALETTE[place], label=f"benchmark {label}")
    print(f"benchmark {label}: assurance with 70 events {np.interp(70, events, curve):.3f}, with 2000 {curve[-1]:.3f}")
axes.set(xscale="log", xlabel="events of the trial", ylabel="assurance, one look", ylim=(0, 1))
axes.set_xticks([5, 20, 70, 200, 2000], labels=["5", "20", "70", "200", "2000"])
axes.minorticks_off()
axes.legend(fontsize=8, loc="lower right")
figure.tight_layout()

# %% [markdown]
# KROG had 100 patients, but what its paper prints of them, at five hospitals, is worth about 16 events as a benchmark for
# *other* hospitals. Even 2000 events in the trial leave the assurance near one half, where the ceiling was. The line of a known
# benchmark is what one would promise by forgetting that.
#
# Forgetting has another price. If the analysis treats the benchmark as known, its intervals are too short. With nominal level
# 0.05 the real one is 1 - Phi(1.645 / sqrt(1 + d1/d0)). Here is that line, and trials that were simulated both ways, with
# one look and no futility rule.

# %%
sizes = (10, 20, 40, 80)
plain = first.changed(
    {
        "arms.patients": 160,
        "accrual.cap": None,
        "follow_up.close": 90.0,
        "analysis.treatment.sd": 10.0,
        "criterion": [{"name": "longer survival", "estimand": "hazard_ratio", "below": 1.0, "probability": 0.95}],
        "look": [{"name": "final", "when": {"events": 40}}],
        "scenario": [{"name": "no effect", "null": True, "hazard_ratio": 1.0}],
        "simulation.trials": MANY,
    }
)
rows = []
for number in sizes:
    for ignored in (True, False):
        changes = {"look.final.when.events": number, "benchmark.known": ignored}
        error = sw.trial.assess(plain.changed(changes), workers=WORKERS, curve=False).thresholds.errors.iloc[0]
        formula = formulas.level_of_estimated_benchmark(number, worth, alpha=0.05) if ignored else 0.05
        rows.append(
            {
                "trial's events": number,
                "benchmark": "treated as known" if ignored else "uncertain",
                "formula": formula,
                "simulated": error["type_one_error"],
                "mcse": error["standard_error"],
            }
        )
inflation = pd.DataFrame(rows)
inflation.round(4)

# %%
figure, axes = plt.subplots(figsize=(6.5, 3))
grid = np.linspace(5, 90, 60)
levels = [formulas.level_of_estimated_benchmark(float(one), worth, alpha=0.05) for one in grid]
axes.plot(grid, levels, color=style.PALETTE[1], lw=1, label="formula: 1 - Phi(1.645 / sqrt(1 + d1/d0))")
axes.axhline(0.05, color=style.GREY, lw=0.8, ls="--", label="nominal")
for place, (label, own) in enumerate(inflation.groupby("benchmark", sort=False)):
    axes.errorbar(
        own["trial's events"], own["simulated"], yerr=1.96 * own["mcse"], fmt="os"[place], ms=5, capsize=3,
        color=style.PALETTE[1 - place], label=f"simulated, benchmark {label}",
    )  # fmt: skip
axes.set(xlabel="events of the trial", ylabel="type I error", ylim=(0, 0.32))
axes.legend(fontsize=8, loc="upper left")
figure.tight_layout()

# %% [markdown]
# The larger the trial, the worse: it becomes more and more certain of a difference that is the benchmark's own error. With the
# uncertainty in, the type I error stays near its level, and that is what the flat curve above paid for. The formula takes the
# benchmark's error as one normal number. The cohort's draws also differ in how the hazard runs over time and in how far
# hospitals differ, so that the largest of the simulated trials lie somewhat below its line.
#
# ## A control arm, and borrowing for the other one
#
# The way out of the flat curve is a control arm. In the second trial radiotherapy itself is the question: systemic treatment
# with it, against systemic treatment alone. Now the same cohort describes the **experimental** arm, and says nothing of the
# control arm, which is the experimental one divided by an effect that is taken from a published trial.

# %%
second = sw.trial.read_design(sw.trial.trial_path("krog-randomised"))
second = second.changed({"simulation.trials": TRIALS, "simulation.nuts_trials": 0})
randomised = sw.trial.assess(second, workers=WORKERS)
print(randomised.cohorts.truth.sentence.split(". ")[0] + ".")
try:
    second.changed({"borrowing.arm": "control"})
except sw.problems.TrialError as refused:
    refused_for = refused
    print(refused)
table_of(randomised)

# %% [markdown]
# The radiotherapy arm borrows from the cohort by a robust mixture: half of the prior is the cohort, widened by what may differ
# between it and the trial, half is vague. What that buys and risks depends on **drift**: how far the trial's patients are from
# the cohort's. Below zero the trial's patients do better than the cohort's, above zero worse. The picture is exact, for this
# trial's mean events at its last look.

# %%
sweep = swept(randomised)
spots = {name: ", ".join(f"{low:.2f} to {high:.2f}" for low, high in found_in) for name, found_in in sweep.sweet_spots.items()}
print(f"sweet spot of {sweep.planned}: drift {spots[sweep.planned]}; of pooling: {spots['pooled']}")
at_zero = sweep.table[np.isclose(sweep.table["drift"], 0)].pivot_table(index="method", columns="quantity", values="value")
print(at_zero.loc[["none", "robust-map", "pooled"], ["type_i_error", "power", "borrowed_events_elir"]].round(3).to_string())
shown(plot_borrowing(sweep))

# %% [markdown]
# The line without borrowing does not move: it does not look at the cohort. Borrowing wins power in the shaded range and nothing
# is for nothing: where the trial's patients do worse than the cohort's, the cohort flatters the radiotherapy arm and the type I
# error rises; where they do better, it holds the arm back and power is lost. Pooling wins most at zero and loses most
# elsewhere.
#
# Thresholds of this design are **calibrated**: the type I error is at most 0.025 in all its null worlds, those with drift among
# them, and not at one convenient point. Does borrowing pay when it has to keep its level under drift too? The same trials, each
# way with its own calibrated thresholds; beside them, calibrated as if there were no drift, with the type I error that comes of
# it when patients are worse than the cohort's by 0.3.

# %%
no_drift = [{"name": "no effect", "null": True, "hazard_ratio": 1.0}]
drifted = {"name": "patients worse", "hazard_ratio": 1.0, "drift": 0.3}
ways = {}
for way in ("none", "robust-map", "commensurate", "pooled"):
    change = {"borrowing.method": way, "simulation.trials": MANY}
    own = sw.trial.assess(second.changed(change), workers=WORKERS, curve=False)
    trusting = sw.trial.assess(second.changed({**change, "scenario": [*no_drift, drifted]}), workers=WORKERS, curve=False)
    ways[way] = {
        "last threshold": round(float(own.thresholds.values[-1, 0]), 4),
        "assurance": Values.of(own)("planned", "success").probability,
        "assurance, no drift": Values.of(trusting)("planned", "success").probability,
        "type I error, no drift, patients worse": Values.of(trusting)("patients worse", "success").probability,
    }
pd.DataFrame.from_dict(ways, orient="index")

# %% [markdown]
# Here it does not. Calibrated over drift, the design that borrows nothing has the highest assurance and pooling the lowest: the
# threshold has to rise for the world in which patients are worse than the cohort's, and that costs more than the cohort brings.
# (The trials are the same for all four, so that differences are known better than the standard errors suggest.) Only somebody
# who is sure that there is no drift gains from borrowing, about a point of assurance, and pays with a type I error above the
# nominal 0.025 if that was wrong: 0.06 with pooling. A cohort worth 16 events cannot do more. How sure one is of it is a
# judgement, and the null worlds of the design file are where it is written down.
#
# ## When will it be finished?
#
# Sites open one after another, and each one's rate is a Gamma variable, so that the fan is wide before anything is
# known. The forecast comes with every assessment.

# %%
shown(plot_forecast(randomised))

# %% [markdown]
# Now let the trial run, and recruit at six tenths of the rate that was hoped for. After 18 months the data are cut: who came
# where and when, who died. Nobody needs to know the arms.

# %%
CUT, arms, accrual, follow_up = 18.0, second.arms, second.accrual, second.follow_up
world = randomised.cohorts.truth
running = sw.trial.simulate_trials(world, arms=arms, accrual=accrual, follow_up=follow_up, trials=1, seed=7, accrual_factor=0.6)
seen = sw.trial.snapshot(running, np.array([CUT]), group_of_profile=world.group_of_profile, groups=world.groups)
here = seen.included[0]
names = np.array([f"site {number + 1}" for number in range(accrual.sites)])
patients = pd.DataFrame(
    {
        "site": names[seen.site[0][here]],
        "enrolled": seen.enrolled[0][here],
        "time": seen.time[0][here],
        "event": seen.event[0][here].astype(int),
        "ended": seen.ended[0][here].astype(int),
        "risk_group": np.array(world.groups)[seen.group[0][here]],
    }
)
sites = pd.DataFrame({"site": names, "opened": accrual.openings})
data = sw.trial.InterimData.from_tables(patients, sites, cut=CUT)
options = {"arms": arms, "accrual": accrual, "follow_up": follow_up, "looks": second.look, "trials": MANY, "seed": 1}
before = randomised.forecast
after = sw.trial.forecast_from(world, data, **options)
print(f"{len(data)} patients and {patients['event'].sum()} events after {CUT:g} months")
dates = pd.concat({"before the start": before.milestones, "from interim data": after.milestones}, names=["forecast"])
dates = dates.query("kind != 'completion'").reset_index("forecast").set_index(["milestone", "forecast"]).sort_index()
for label, made in (("before the start", before), ("from interim data", after)):
    print(
        f"110 events before the close (month {follow_up.close:g}), {label}: {made.event_date(110)['probability'].iloc[0]:.2f}"
    )
dates[["probability", "lower", "median", "upper"]].round(2)

# %%
figure, panels = plt.subplots(1, 2, figsize=(9, 3.1))
for panel, quantity in zip(panels, ("patients", "events"), strict=True):
    for made, shade, label in ((before, style.GREY, "before the start"), (after, style.PALETTE[0], "from interim data")):
        own = made.counts.query("quantity == @quantity and site == 'all'")
        own = own[own["time"] >= (CUT if made is after else 0)]
        panel.fill_between(own["time"], own["lower"], own["upper"], color=shade, alpha=0.22, lw=0)
        panel.plot(own["time"], own["median"], color=shade, label=label)
    came = np.sort((running.enrolled if quantity == "patients" else running.event_calendar)[0])
    came = came[came <= follow_up.close]
    panel.step(came, np.arange(1, came.size + 1), where="post", color=style.PALETTE[1], lw=1.2, label="what happened")
    panel.axvline(CUT, color=style.GREY, lw=0.8, ls=":")
    panel.set(xlabel="months since the first site opened", ylabel=quantity, ylim=(0, None), xlim=(0, follow_up.close))
panels[1].legend(fontsize=8, loc="upper left")
figure.tight_layout()

# %% [markdown]
# Grey is what was hoped for, blue what 18 months have taught. The interim look moves from month 29 to month 46, full accrual
# before the close has become a toss of a coin, and the last look will probably be held because month 66 has come, not because
# 110 patients have died. Both are learnt from: the rates of sites from who came, survival from weighting the draws of the truth
# by how well they foretold the patients seen so far. A site that has enrolled few keeps much of the rate that was hoped for,
# since that is its prior; what happened afterwards runs along the lower edge of the interval.
#
# ## What if
#
# `changed` gives a design with only the differences named; everything else, the random numbers too, stays. Thresholds are
# calibrated anew each time.

# %%
changes = {
    "as planned": {},
    "15 sites instead of 10": {"accrual.sites": 15},
    "slower: 0.4 patients a month and site": {"accrual.rate": 0.4},
    "two to one": {"arms.allocation": [2, 1]},
    "last look at 140 events": {"look.final.when.any": [{"events": 140}, {"calendar": 66}]},
    "effect known to be 0.75": {"truth.effect": {"hazard_ratio": 0.75}},
}
what_if = {}
for label, change in changes.items():
    own = sw.trial.assess(second.changed(change), workers=WORKERS, curve=False)
    values = Values.of(own)
    what_if[label] = {
        "success": values("planned", "success").probability,
        **{name: values("planned", name).mean() for name in ("patients", "events", "duration")},
        "cost": values("planned", "cost", second.costs.unit).mean(0),
    }
pd.DataFrame.from_dict(what_if, orient="index")

# %% [markdown]
# More hospitals buy months, not success. Slow accrual costs months and hardly any success. Two to one costs success, since
# equal arms say most about a ratio. Waiting for 140 events adds some success and ten months. And an effect that is really
# 0.75 would be missed in three trials of four: what decides most is what nobody can choose.
#
# How large must it be? The search simulates sizes on the same random numbers, with the thresholds of the planned size, and
# knows the ceiling.

# %%
evaluate = sw.trial.evaluator(randomised, workers=WORKERS)
solved = sw.trial.smallest_size(second, evaluate, target=0.7, most=400)
print(solved.sentence)
print(sw.trial.smallest_size(second, evaluate, target=0.97, most=400).sentence)
shown(plot_size(randomised, solved))

# %% [markdown]
# A probability of 0.7 takes a fifth more patients than planned; 0.97 takes more than there can be. The interval of the
# published effect reaches beyond one: in 4 % of worlds radiotherapy does not help, and there no trial should succeed. Long
# before the ceiling the curve bends: more than twice the planned patients bring some ten points.
#
# ## Is the fast analysis the right one?
#
# Thousands of trials were analysed by a formula. The design's own analysis is the hierarchical model, with the trial's
# hospitals in it, by the nested-Laplace engine. It is much slower; NUTS is slower still, and runs beside the design's analysis
# on some trials of every assessment. Here are the same trials of the first design, three ways.

# %%
few = {
    "simulation.trials": FULL_MODEL,
    "simulation.nuts_trials": BY_NUTS,
    "scenario": [{"name": "no effect", "null": True, "hazard_ratio": 1.0}],
}
by_formula = sw.trial.assess(first.changed(few), workers=WORKERS, curve=False)
full = sw.trial.assess(first.changed({**few, "analysis.method": "hierarchical"}), workers=WORKERS, curve=False)
for label, own in (("conjugate", by_formula), ("hierarchical", full)):
    values = Values.of(own)
    print(
        f"{label}: success {values('planned', 'success').probability}, type I error "
        f"{values('no effect', 'success').probability}, "
        f"coverage {values('no effect', 'coverage', 'longer survival').probability}"
    )
for label, own in (("conjugate", by_formula.agreement), ("hierarchical", full.agreement)):
    clear = own[own["clear"]]
    print(
        f"{label} beside NUTS: {len(own)} looks, largest difference of probabilities {own['difference'].abs().max():.3f}; "
        f"decisions agree in {int(clear['agree'].sum())} of the {len(clear)} that are clear of the threshold"
    )

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.4))
for place, (label, own) in enumerate({"conjugate": by_formula.agreement, "hierarchical": full.agreement}.items()):
    left.plot(own["nuts_probability"], own["probability"], "so"[place], ms=4, color=style.PALETTE[1 - place], label=label)
left.plot([0, 1], [0, 1], color=style.GREY, lw=0.8)
left.axhline(0.95, color=style.GREY, lw=0.6, ls=":")
left.axvline(0.95, color=style.GREY, lw=0.6, ls=":")
left.set(xlabel="probability by NUTS", ylabel="probability by the fast analysis", title="Beside NUTS")
left.legend(fontsize=8)
for place, world in enumerate(("planned", "no effect")):
    both = [own.results.data["probability"].sel(scenario=world, criterion="longer survival") for own in (full, by_formula)]
    both = [one.isel(look=-1).to_numpy() for one in both]
    right.plot(*both, "o", ms=3, alpha=0.6, color=style.PALETTE[place], label=world)
right.plot([0, 1], [0, 1], color=style.GREY, lw=0.8)
right.axhline(0.95, color=style.GREY, lw=0.6, ls=":")
right.axvline(0.95, color=style.GREY, lw=0.6, ls=":")
right.set(xlabel="hierarchical", ylabel="conjugate", title="Every trial, last look")
right.legend(fontsize=8)
figure.tight_layout()

# %% [markdown]
# The nested-Laplace engine says what NUTS says, within 0.03, and decides alike wherever NUTS is clear of the threshold. The
# formula is further off, most in the middle, where nothing is decided, but it also decides otherwise now and then: hospitals
# are not in it. On the same trials it succeeds somewhat more often than the full model, with an effect and without. So explore
# with the formula, and take the numbers of a protocol from the full model:
#
# `sitewise design krog-single-arm --out out/single-arm`
#
# writes them with every trial, pictures and a report that says what was assumed.
