"""`study.toml`: every slip is named."""

import pytest

import sitewise as sw

HEAD = "study.toml has 1 problem:\n  1. "
SLIPS = {
    "table": ('[daat]\ntime = "x"', HEAD + "[daat]: is no table of a study. Did you mean 'data'?"),
    "no table": (
        'time = "x"',
        HEAD + "[time]: is no table of a study. Known: 'data', 'covariates', 'model', 'sampler', 'report', 'sbc', 'priors'.",
    ),
    "key for a table": ("data = 3", HEAD + "[data]: must be a table; it is 3."),
    "key": ('[data]\ntiem = "x"', HEAD + "[data] tiem: is not a known key. Did you mean 'time'?"),
    "number for text": ("[model]\nformula = 3", HEAD + "[model] formula: must be text; it is 3."),
    "text for a number": ('[model]\nguarantee_time = "1"', HEAD + "[model] guarantee_time: must be a number; it is '1'."),
    "decimals for a whole number": (
        "[sampler]\nchains = 4.5",
        HEAD + "[sampler] chains: must be a whole number; it is 4.5.",
    ),
    "true for a number": ("[sampler]\nseed = true", HEAD + "[sampler] seed: must be a whole number; it is True."),
    "number for a list": ("[report]\ntimes = 12", HEAD + "[report] times: must be a list; it is 12."),
    "empty list": ("[report]\ntimes = []", HEAD + "[report] times: must be a list of positive numbers; it is []."),
    "text in a list": (
        '[report]\ntimes = [6, "12"]',
        HEAD + "[report] times: must be a list of positive numbers; it is [6, '12'].",
    ),
    "list for a table": (
        '[covariates]\nfavourable = ["ecog"]',
        HEAD + "[covariates] favourable: must be a table; it is ['ecog'].",
    ),
    "choice": ('[data]\nmissing = "dorp"', HEAD + "[data] missing: is 'dorp'. Did you mean 'drop'?"),
    "family": ('[model]\nfamily = "weibul"', HEAD + "[model] family: is 'weibul'. Did you mean 'weibull'?"),
    "metric": ('[model]\nmetric = "hr"', HEAD + "[model] metric: is 'hr'. Known: 'hazard-ratio', 'time-ratio'."),
    "sites": ('[model]\nsites = "centred"', HEAD + "[model] sites: is 'centred'. Did you mean 'random-centred'?"),
    "zero_times": (
        '[data]\nzero_times = "half"',
        HEAD + "[data] zero_times: must be 'refuse' or a small positive time; it is 'half'.",
    ),
    "negative guarantee time": (
        "[model]\nguarantee_time = -1",
        HEAD + "[model] guarantee_time: must be zero or a positive time; it is -1.",
    ),
    "too few draws": ("[sampler]\ndraws = 2", HEAD + "[sampler] draws: must be at least 4; it is 2."),
    "no chains": ("[sampler]\nchains = 0", HEAD + "[sampler] chains: must be at least 1; it is 0."),
    "acceptance": (
        "[sampler]\ntarget_accept = 95.0",
        HEAD + "[sampler] target_accept: must be between 0 and 1; it is 95.0.",
    ),
    "percent": ("[report]\nprob = 95", HEAD + "[report] prob: must be between 0 and 1, such as 0.95; it is 95."),
    "horizon": ("[report]\nrmst_horizon = 0", HEAD + "[report] rmst_horizon: must be a positive time; it is 0."),
    "question that is none": ("[report]\nquestion = 3", HEAD + "[report] question: must be text; it is 3."),
    "margin": ("[report.margins]\nrmts = 1", HEAD + "[report.margins] rmts: is no estimand. Did you mean 'rmst'?"),
    "margin in words": (
        '[report.margins]\nrmst = "big"',
        HEAD + "[report.margins] rmst: must be a number; it is 'big'.",
    ),
    "recode without levels": (
        '[data.recode]\necog = { column = "x" }',
        HEAD + '[data.recode] ecog: must be { column = "...", levels = { "0" = [0], ... } }.',
    ),
    "recode with a value for a list": (
        '[data.recode]\necog = { column = "x", levels = { a = 1 } }',
        HEAD + "[data.recode] ecog: levels must name a list of values for each level.",
    ),
    "levels that are no list": (
        '[covariates.levels]\necog = "01"',
        HEAD + "[covariates.levels] ecog: must be a list of levels in order; it is '01'.",
    ),
    "reference that is a list": (
        '[covariates.reference]\necog = ["0"]',
        HEAD + "[covariates.reference] ecog: must be one level; it is ['0'].",
    ),
    "two rules for risk groups": (
        '[covariates]\nfavourable = { ecog = ["0"] }\nunfavourable = { ecog = ["1"] }',
        HEAD + "[covariates]: favourable and unfavourable both define the risk groups. Give one of them.",
    ),
    "prior that is a number": (
        "[priors]\nshape = 3",
        HEAD + '[priors] shape: must be a table; it is 3. Such as { dist = "Normal", mu = 0, sigma = 1 }.',
    ),
    "prior with text for a number": (
        '[priors]\nmedian_survival = { median = "12", quantile_975 = 60 }',
        HEAD + "[priors] median_survival median: must be a number; it is '12'.",
    ),
    "several": (
        '[data]\ntiem = "x"\nmissing = 1\n[modle]\nfamily = "weibull"\n[sampler]\ndraws = "many"\n',
        "study.toml has 4 problems:\n"
        "  1. [data] tiem: is not a known key. Did you mean 'time'?\n"
        "  2. [data] missing: must be text; it is 1.\n"
        "  3. [modle]: is no table of a study. Did you mean 'model'?\n"
        "  4. [sampler] draws: must be a whole number; it is 'many'.",
    ),
    "few replicates": ("[sbc]\nreplicates = 3", HEAD + "[sbc] replicates: must be at least 20; it is 3."),
    "sites of a coverage": (
        "[sbc]\ncoverage_sites = [1, 5]",
        HEAD + "[sbc] coverage_sites: must be a list of whole numbers, 2 or more; it is [1, 5].",
    ),
    "no TOML": (
        "[data\n",
        "study.toml is not valid TOML: Expected ']' at the end of a table declaration (at line 1, column 6)",
    ),
}


@pytest.mark.parametrize("name", SLIPS)
def test_message(name, write):
    text, expected = SLIPS[name]
    with pytest.raises(sw.StudyError) as caught:
        write(text)
    assert str(caught.value) == expected


def test_no_such_file(tmp_path):
    with pytest.raises(sw.StudyError) as caught:
        sw.read_study(tmp_path / "none.toml")
    assert str(caught.value) == f"There is no file {tmp_path / 'none.toml'}."


def test_a_factor_whose_column_occurs_twice(write, tmp_path):
    """Its levels are read from the table, which is refused before."""
    study = write('[covariates]\nfavourable = { ecog = ["0"] }\n[model]\nformula = "Surv(time, event) ~ ecog"\n')
    (tmp_path / "twice.csv").write_text("time,event,ecog,ecog\n1,1,0,0\n2,0,1,1\n3,1,0,1\n")
    with pytest.raises(sw.CohortError) as caught:
        study.cohort(tmp_path / "twice.csv", study.spec())
    assert "column 'ecog' occurs more than once. Give each column a name of its own." in str(caught.value)
