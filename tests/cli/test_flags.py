"""Flags and study keys that several commands share: what is refused at once, and what reaches the engine."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

import sitewise as sw
from sitewise.cli.run import Flags, _engine
from sitewise.cli.study import Study
from sitewise.inference import Verdict
from sitewise.inference.engine import silent
from sitewise.inference.nested_laplace import engine as fast_engine
from sitewise.inference.verdict import check
from sitewise.problems import StudyError

NO_FLAGS = Flags(None, None, None, None, None, None, False)
SETTINGS = {"draws": 6000, "tune": 400, "chains": 2, "target_accept": 0.9}
POOR = Verdict((check("pareto_k", 2.0),))


@pytest.mark.parametrize("command", [("fit", "none.csv", "--model", "Surv(t, e) ~ 1"), ("demo",), ("sbc", "--config", "none")])
def test_a_seed_below_zero_is_refused_before_anything_is_read(sitewise, tmp_path, command):
    ended = sitewise(*command, "--seed", -1, "--out", tmp_path / "out")
    assert ended.code == 2
    assert "--seed" in ended.err
    assert "equal to 0" in ended.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("prob", [2, 0, 1, -0.5, "nan"])
def test_check_refuses_a_prob_that_is_none_before_it_reads(sitewise, tmp_path, prob):
    ended = sitewise("check", tmp_path, "--prob", prob)
    assert ended.code == 2
    assert f"prob is {float(prob):g}; it must be between 0 and 1" in ended.error


def study_of(name: str, **sampler: float) -> Study:
    return replace(Study(), sampler={"engine": name, **sampler})


def test_the_study_sets_the_fast_engine_and_what_takes_over():
    made = _engine(NO_FLAGS, study_of("nested-laplace", **SETTINGS))
    assert made == sw.NestedLaplace(draws=6000, fallback=sw.Nuts(**SETTINGS))
    auto = _engine(NO_FLAGS, study_of("auto", **SETTINGS))
    assert auto == sw.Auto(sw.NestedLaplace(draws=6000), sw.Nuts(**SETTINGS))


def test_a_flag_wins_over_the_study():
    made = _engine(replace(NO_FLAGS, draws=700), study_of("nested-laplace", **SETTINGS))
    assert (made.draws, made.fallback.draws) == (700, 700)
    with pytest.raises(StudyError, match="--chains belongs to nuts"):
        _engine(replace(NO_FLAGS, chains=2), study_of("nested-laplace"))


def test_without_draws_each_engine_has_its_own():
    assert _engine(NO_FLAGS, study_of("nested-laplace")) == sw.NestedLaplace(fallback=sw.Nuts())


@pytest.mark.parametrize("fails", ["verdict", "mode"])
@pytest.mark.parametrize(("fallback", "exact"), [(True, None), (sw.Nuts(**SETTINGS), sw.Nuts(**SETTINGS))])
def test_nuts_takes_over_as_it_was_set(monkeypatch, fails, fallback, exact):
    from sitewise.inference.nested_laplace.weighting import NoModeError

    taken = []

    def weighted(self, spec, data, *, seed):
        if fails == "mode":
            raise NoModeError("No mode.")
        return SimpleNamespace(verdict=POOR)

    monkeypatch.setattr(fast_engine, "require_known", lambda spec: None)
    monkeypatch.setattr(sw.NestedLaplace, "weighted", weighted)
    monkeypatch.setattr(
        fast_engine, "fall_back", lambda reason, spec, data, **options: taken.append((reason, options["engine"]))
    )
    sw.NestedLaplace(fallback=fallback).run(None, None, seed=1, progress=False, report=silent)
    assert taken == [("No mode." if fails == "mode" else POOR.sentence, exact)]
