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
# # Thousands of posteriors
#
# One fit answers a question about one cohort. Whether the answer can be trusted, what it owes to one hospital or to the
# prior, and what more patients would buy are questions about *many* fits of the same model. This notebook asks them:
#
# 1. the fast engine beside NUTS: the same posterior, with a certificate;
# 2. is the model's computation right when the truth is known? (simulation-based calibration), and would we notice if not?
# 3. what is found of a fixed truth, by numbers of patients and hospitals?
# 4. which hospital, and which patient, do the answers depend on?
# 5. how much of it is the prior of the spread between hospitals?
# 6. how narrow would the interval of the smallest group be with more patients?
#
# **Every cohort is synthetic**, of a process that agrees with the numbers of KROG 20-04 within sampling error. Nothing here
# is for decisions on single patients.

# %%
import os
import time
from dataclasses import replace

import matplotlib.pyplot as plt
import pandas as pd
from IPython import get_ipython
from IPython.display import Markdown

import sitewise as sw
from sitewise.report import style
from sitewise.report.plot_left_out import plot_leave_one_out, plot_leave_one_site_out
from sitewise.report.plot_sbc import plot_coverage, plot_ecdf
from sitewise.report.plot_studies import plot_learning_curve, plot_prior_sensitivity
from sitewise.report.plot_subgroups import plot_small_subgroups

get_ipython().run_line_magic("matplotlib", "inline")
plt.rcParams.update({**style.SETTINGS, "figure.dpi": 72, "font.size": 9})
pd.set_option("display.max_colwidth", None)

# %% [markdown]
# How much is computed: `SITEWISE_NOTEBOOK_SIZE=small` makes everything quick and rough. What is printed below is of `full`.

# %%
SIZES = {
    "full": {"truths": 1000, "fixed": 300, "curve": 100, "sizes": (50, 100, 200, 400)},
    "small": {"truths": 40, "fixed": 20, "curve": 4, "sizes": (50, 100)},
}
SIZE = SIZES[os.environ.get("SITEWISE_NOTEBOOK_SIZE", "full")]

# %% [markdown]
# ## The cohort and the model
#
# One hundred patients of five centres, the paper's two leading factors, a random effect of the centre. The guarantee time is
# the process's own: nobody could leave the cohort before.

# %%
scenario = sw.load_scenario("krog-20-04")
cohort = sw.simulate(scenario, seed=2004)
model = sw.ModelSpec.from_formula(
    "Surv(time, event) ~ ecog + child_pugh + (1 | site)", guarantee_time=scenario.baseline.guarantee_time
)
spec = model.resolve(cohort)
groups = sw.RiskGroups.count_favourable(ecog="0", child_pugh="A")
cohort

# %% [markdown]
# ## The same posterior, in milliseconds
#
# Shape and spread between centres go on a grid; given these, everything else has one peak. Draws from that approximation are
# weighted by the exact density, so that the weights say how good it was.

# %%
sw.fit(spec, cohort, engine=sw.NestedLaplace(), seed=1)  # loads, and the first time on a machine compiles
started = time.perf_counter()
fast = sw.fit(spec, cohort, engine=sw.NestedLaplace(draws=8000), seed=1)
seconds = {"fast": time.perf_counter() - started}
sw.fit(spec, cohort, engine=sw.Nuts(), seed=1)
started = time.perf_counter()
slow = sw.fit(spec, cohort, engine=sw.Nuts(draws=2000), seed=1)
seconds["NUTS"] = time.perf_counter() - started
print(fast.verdict)

# %%
rows = []
for name, values in {"shape": "shape", "spread between centres": "site_sd", "log hazard ratios": "log_hazard_ratio"}.items():
    for engine, fit in {"fast": fast, "NUTS": slow}.items():
        own = sw.summarise(fit.posterior[values])
        for term, row in own.iterrows():
            what = f"{name}, {term}" if values == "log_hazard_ratio" else name
            rows.append({"quantity": what, "engine": engine, **row[["mean", "sd", "lower", "upper", "ess_bulk"]].round(3)})
pd.DataFrame(rows).set_index(["quantity", "engine"]).unstack()

# %% [markdown]
# ## Is the computation right?
#
# Truths are drawn from the model's own prior, cohorts are simulated from them, and each is fitted. If all is right, the
# posterior probability below the truth is uniform over many truths, for every quantity.

# %%
found = sw.sbc(spec, cohort, replicates=SIZE["truths"], seed=1, workers=2)
Markdown(f"Calibration **{found.sentence}**")

# %%
figure = plot_ecdf(found)
figure

# %% [markdown]
# Would a fault be seen? Here the analysis believes in effects twice as large as those that made the data.

# %%
wider = tuple(sw.Prior("Normal", mu=0.0, sigma=2 * prior.values["sigma"]) for prior in spec.resolved.coefficients)
believed = replace(spec, resolution=replace(spec.resolved, coefficients=wider))
wrong = sw.sbc(spec, cohort, analysis=believed, replicates=SIZE["truths"], seed=1, workers=2)
Markdown(f"Calibration **{wrong.sentence}**")

# %% [markdown]
# Effects of either sign come out too large, which shows in their size and hardly in the effects themselves.
#
# ## What is found of a fixed truth
#
# When the scenario is the truth, instead of draws from the prior, the prior pulls. Intervals of small cohorts cover more than
# they say where the truth is near the prior's middle, and the spread between centres is overestimated where it is small.

# %%
terms = " + ".join(item.name for item in scenario.covariates)
whole = sw.ModelSpec.from_formula(f"Surv(time, event) ~ {terms} + (1 | site)", guarantee_time=scenario.baseline.guarantee_time)
by_size = sw.coverage(whole, scenario, patients=(50, 100, 200), sites=(5, 10), replicates=SIZE["fixed"], seed=1, workers=2)
figure = plot_coverage(by_size)
figure

# %% [markdown]
# ## Which centre do the answers depend on?
#
# Each centre is left out in turn. How well the others predict it is the log of the mean over draws of its likelihood,
# integrated over its effect: nobody knows the effect of a centre that has not been seen.

# %%
without = sw.leave_one_site_out(fast)
figure = plot_leave_one_site_out(without)
figure.set_dpi(72)
figure

# %% [markdown]
# The same for patients: each is left out and the model fitted anew. The usual shortcut (PSIS) reweights one fit instead.

# %%
patients = sw.leave_one_out(fast)
figure = plot_leave_one_out(patients)
figure.set_dpi(72)
figure

# %% [markdown]
# ## How much is the prior?
#
# Five centres hardly inform the spread between them. The answers under five priors of it:

# %%
sensitivity = sw.prior_sensitivity(fast, times=[24], groups=groups)
figure = plot_prior_sensitivity(sensitivity)
figure.set_dpi(72)
figure

# %% [markdown]
# ## From whom is a small group known?
#
# Each risk group by its own patients (raw, and fitted alone), by the model, and by one curve for everybody. How much the model
# lends is said in events: those that the group would need, were it alone, to be known as well.

# %%
subgroups = sw.small_subgroups(fast, time=24, groups=groups)
figure = plot_small_subgroups(subgroups)
figure.set_dpi(72)
figure

# %%
Markdown("\n".join(f"- {sentence}" for sentence in subgroups.table["sentence"]))

# %% [markdown]
# ## Does the effect of ECOG differ between centres?
#
# A random slope, `(1 + ecog | site)`, asks; with five centres its spread is mostly the prior's, and the fast engine says as
# much in milliseconds.

# %%
slopes = sw.ModelSpec.from_formula(
    "Surv(time, event) ~ ecog + child_pugh + (1 + ecog | site)", guarantee_time=scenario.baseline.guarantee_time
)
differing = sw.fit(slopes, cohort, engine=sw.NestedLaplace(), seed=1)
sw.summarise(sw.site_log_hazard_ratios(differing), prob=0.95)

# %% [markdown]
# ## What would more patients buy?
#
# Cohorts of growing size from the same process, each fitted: the width of the 95 % interval of survival at two years, by risk
# group.

# %%
curve = sw.learning_curve(
    scenario, groups=groups, time=24.0, patients=SIZE["sizes"], spec=model, replicates=SIZE["curve"], seed=1, workers=2
)
figure = plot_learning_curve(curve)
figure.set_dpi(72)
figure

# %%
count = SIZE["truths"] * 2 + SIZE["fixed"] * 6 + len(cohort) + 5 + 5 + SIZE["curve"] * len(SIZE["sizes"])
Markdown(
    f"Some {count:,} posteriors were computed for this notebook. One fit of 8,000 weighted draws, with all its densities, took "
    f"{seconds['fast']:.2f} s, one by NUTS {seconds['NUTS']:.2f} s on this machine."
)
