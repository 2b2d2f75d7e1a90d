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
# # Is the model right?
#
# "What if it is not Weibull?", "do the hospitals matter?", "how much of this is the prior?" are the first questions of a
# reviewer. `sw.check(fit)` answers them for censored data: it simulates cohorts from the fit, *fits each of them in turn*, and
# asks in how many the patients are as far from what is expected as the real ones. This notebook
#
# 1. checks a model that is wrong in a way that hides well: a guarantee time that nobody mentioned;
# 2. repairs it, and checks again;
# 3. shows why simulated cohorts have to be fitted;
# 4. checks the model of the real lung cohort.
#
# The first cohort is **synthetic**, of a process that agrees with the numbers of KROG 20-04; the last one is of real
# patients. Nothing here is for decisions on single patients.

# %%
import os
import time

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython import get_ipython
from IPython.display import Markdown

import sitewise as sw
from sitewise.cohort import packaged_path
from sitewise.report import plot_checks, style

get_ipython().run_line_magic("matplotlib", "inline")
plt.rcParams.update({**style.SETTINGS, "figure.dpi": 72, "font.size": 9})
pd.set_option("display.max_colwidth", None)

# %% [markdown]
# How much is computed: `SITEWISE_NOTEBOOK_SIZE=small` makes everything quick and rough. What is printed below is of `full`.

# %%
SIZES = {"full": {"replicates": 200, "few": 100, "cohorts": 40}, "small": {"replicates": 20, "few": 20, "cohorts": 2}}
SIZE = SIZES[os.environ.get("SITEWISE_NOTEBOOK_SIZE", "full")]

# %% [markdown]
# ## A guarantee time that nobody mentioned
#
# In the process behind these patients nobody could die in the first 1.95 months: they had to live long enough to be treated.
# A Weibull that starts at time zero has to bend for that, and its shape says "the hazard is about constant" where it falls.

# %%
scenario = sw.load_scenario("krog-20-04")
truth, cohort = scenario.baseline, sw.simulate(scenario, seed=4)
formula = "Surv(time, event) ~ ecog + child_pugh + (1 | site)"
plain = sw.fit(sw.ModelSpec.from_formula(formula), cohort, engine=sw.NestedLaplace(), seed=1)
started = time.perf_counter()
found = sw.check(plain, replicates=SIZE["replicates"], workers=2)
Markdown(
    f"The fit: shape {float(plain.posterior['shape'].mean()):.2f}; the truth is {truth.parameters['shape']:g} after "
    f"{truth.guarantee_time:g} months. Checked in {time.perf_counter() - started:.1f} s. "
    f"What speaks up: **{', '.join(found.found) or 'nothing'}**."
)

# %%
found.table[["check", "p_value", "found", "sentence"]]

# %% [markdown]
# The same as pictures: orange is what was seen, blue what simulated cohorts of *this model* look like.

# %%
plot_checks.plot_check_hazard(found)

# %% [markdown]
# ## Repaired

# %%
spec = sw.ModelSpec.from_formula(formula, guarantee_time=truth.guarantee_time)
right = sw.fit(spec, cohort, engine=sw.NestedLaplace(), seed=1)
again = sw.check(right, replicates=SIZE["replicates"], workers=2)
Markdown(
    f"With the guarantee time: shape {float(right.posterior['shape'].mean()):.2f}. What speaks up: "
    f"**{', '.join(again.found) or 'nothing'}**."
)

# %%
plot_checks.plot_check_hazard(again)

# %% [markdown]
# Nothing speaks up: that is no proof. With a hundred patients many wrong models look right. What a check can be expected to
# find is in `benchmarks/results/check_faults.md`.

# %% [markdown]
# ## Why simulated cohorts are fitted
#
# A posterior has seen the data that it is held against. The usual posterior predictive p-value compares the data with cohorts
# that the posterior has *not* seen; those lie further from it, so that models look better than they are. Here are both, over
# cohorts of the wrong model. What fitting buys depends on how much of the data's freedom the model has used up.


# %%
def p_value(number: int, refit: bool) -> float:
    """Return the p-value of the hazard's form, with simulated cohorts fitted, or not."""
    own = sw.simulate(scenario, seed=100 + number)
    fit = sw.fit(sw.ModelSpec.from_formula(formula), own, engine=sw.NestedLaplace(draws=1000), seed=1)
    return float(sw.check(fit, replicates=SIZE["few"], workers=2, priors=False, refit=refit).table["p_value"].iloc[0])


both = pd.DataFrame(
    {
        "fitted in turn": [p_value(number, True) for number in range(SIZE["cohorts"])],
        "not fitted": [p_value(number, False) for number in range(SIZE["cohorts"])],
    }
)
speaks = (both <= 0.05).sum()
print(f"Of {len(both)} cohorts without their guarantee time, the check speaks up in {speaks['fitted in turn']} when simulated")
print(f"cohorts are fitted, and in {speaks['not fitted']} when they are not.")

# %%
figure, axes = plt.subplots(figsize=(5, 2.4))
for place, values in enumerate(both.to_numpy().T):
    axes.plot(values, place + np.linspace(-0.15, 0.15, len(values)), "o", color=style.PALETTE[place], ms=4, alpha=0.7)
axes.axvline(0.05, color=style.GREY, lw=0.8, ls="--")
axes.set(yticks=[0, 1], yticklabels=list(both), xlim=(0, 1), ylim=(1.5, -0.5), xlabel="p-value")
figure.tight_layout()

# %% [markdown]
# ## The real lung cohort

# %%
lung = sw.Cohort.from_csv(
    packaged_path("lung"),
    time="time_months",
    event="event",
    site="inst",
    covariates=["ecog", "age", "sex"],
    recode={"ecog": sw.Recode("ph_ecog", {"0": [0], ">=1": [1, 2, 3]})},
    missing="drop",
)
fit = sw.fit(
    sw.ModelSpec.from_formula("Surv(time_months, event) ~ ecog + age + sex + (1 | inst)"),
    lung,
    engine=sw.NestedLaplace(),
    seed=1,
)
real = sw.check(fit, replicates=SIZE["replicates"], workers=2)
real.table[["check", "p_value", "sentence"]]

# %% [markdown]
# A Weibull with constant ratios and similar institutions fits these patients. One check speaks up: patients with a higher
# predicted risk were followed to their death more often. In a trial that enrolled over years the patients who still lived at
# the end were those who did well, so this need not mean that anybody was lost because of how they did; but it is to be known
# before a Kaplan-Meier curve of the censoring is used for anything.

# %%
plot_checks.plot_check_curves(real.curves, real)

# %%
plot_checks.plot_check_residuals(real)

# %% [markdown]
# How much is the prior: hardly anything, for any of the answers.

# %%
plot_checks.plot_check_priors(real)
