"""What a user would write without Sitewise: the same model by hand in PyMC, sampled by nutpie, draws saved. For bench.py."""

import sys
import time

started = time.perf_counter()
import numpy as np  # noqa: E402
import nutpie  # noqa: E402
import pandas as pd  # noqa: E402
import pymc as pm  # noqa: E402

imported = time.perf_counter()
table = pd.read_csv(sys.argv[1])
covariates = np.column_stack([table["ecog"] != "0", table["child_pugh"] == "B"]).astype(float)
covariates -= covariates.mean(axis=0)
labels, site = np.unique(table["site"], return_inverse=True)
log_time, event = np.log(table["time"].to_numpy()), table["event"].to_numpy(dtype=float)
with pm.Model(coords={"site": labels, "term": ["ecog", "child_pugh"]}) as model:
    shape = pm.LogNormal("shape", 0.0, 0.5)
    beta = pm.Normal("beta", 0.0, 1.0, dims="term")
    log_scale = pm.Normal("log_scale", 3.0, 1.5)
    sd = pm.HalfNormal("site_sd", 0.5)
    effect = pm.Deterministic("site_effect", sd * pm.Normal("z", 0.0, 1.0, dims="site"), dims="site")
    log_hazard = shape * (log_time - log_scale) + covariates @ beta + effect[site]
    pm.Potential("likelihood", (event * (pm.math.log(shape) + log_hazard - log_time) - pm.math.exp(log_hazard)).sum())
compiled = nutpie.compile_pymc_model(model)
compiled_at = time.perf_counter()
trace = nutpie.sample(compiled, draws=1000, tune=1000, chains=4, seed=1, progress_bar=False, target_accept=0.95)
sampled = time.perf_counter()
print(f"import {imported - started:.2f} compile {compiled_at - imported:.2f} sample {sampled - compiled_at:.2f}")
