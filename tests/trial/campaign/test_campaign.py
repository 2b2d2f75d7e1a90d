"""Campaigns: the same numbers whoever does the work, interruption, folders, memory, what is kept of a trial."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from typing import Any

import numpy as np
import pytest
import xarray as xr

from sitewise.families import Weibull
from sitewise.problems import TrialError
from sitewise.trial.analysis import Analysed
from sitewise.trial.analysis.analysis import FAILED, NOT_ESTIMABLE, OK
from sitewise.trial.campaign import TrialResults, World, run_campaign
from sitewise.trial.campaign.block import NOT_HELD
from sitewise.trial.campaign.run import WAITING
from sitewise.trial.conduct import Snapshot, look_times, simulate_trials, snapshot
from sitewise.trial.conduct.streams import BLOCK
from sitewise.trial.plan.criteria import Criterion
from sitewise.trial.plan.design import TrialDesign
from sitewise.trial.plan.truth import Effect
from sitewise.trial.truth import Profile, TrueEffect, Truth

TRIALS = 2 * BLOCK + 40


@dataclass(frozen=True)
class Counting:
    """Says numbers that can be checked from the snapshot; random ones depend on seed, trial and look."""

    name: str = "counting"

    def analyse(self, seen: Snapshot, criteria: Sequence[Criterion], /, *, seed: int, look: int) -> Analysed:
        noise = np.array([np.random.default_rng([seed, int(number), look]).random() for number in seen.number])
        treated = (seen.event & (seen.arm == 1)).sum(axis=1)
        estimate = treated - 0.5 * seen.events + noise
        status = np.where(seen.events % 11 == 0, NOT_ESTIMABLE, np.where(seen.number % 13 == 0, FAILED, OK))
        values = (np.where(status == OK, each, np.nan) for each in (noise, estimate, seen.time.sum(axis=1)))
        each = (np.broadcast_to(value[:, None], (len(seen), len(criteria))) for value in values)
        return Analysed(*each, status.astype(np.int8))


def design(**changes: Any) -> TrialDesign:
    content = {
        "id": "small",
        "title": "A small trial.",
        "truth": {
            "cohort_arm": "control",
            "effect": {"hazard_ratio": 0.6},
            "point": {"baseline": {"median": 10.0, "parameters": {"shape": 1.2}}},
        },
        "arms": {"kind": "randomised", "patients": 24},
        "accrual": {"sites": 3, "rate": 0.6, "rate_shape": 2.0},
        "follow_up": {"close": 30.0, "dropout": {"share": 0.1, "by": 12.0}},
        "look": [
            {"name": "first", "when": {"events": 6}},
            {"name": "year", "when": {"calendar": 12.0}},
            {"name": "final", "when": {"events": 18}},
        ],
        "criterion": [
            {"name": "benefit", "estimand": "hazard_ratio", "below": 1.0},
            {"name": "hopeless", "estimand": "hazard_ratio", "below": 1.0, "role": "futility", "probability": 0.1},
        ],
    }
    return TrialDesign.from_dict(content).changed(changes)


def truth(hazard_ratio: float = 0.6) -> Truth:
    rows = 4
    return Truth(
        Weibull(),
        (np.full(rows, 1.2),),
        np.linspace(2.3, 2.6, rows),
        (Profile("fit", "good"), Profile("frail", "poor")),
        np.tile([0.0, 0.6], (rows, 1)),
        np.tile([0.4, 0.6], (rows, 1)),
        np.full(rows, 0.3),
        "control",
        TrueEffect.drawn(Effect(hazard_ratio=hazard_ratio), rows, rng=np.random.default_rng(0)),
    )


def worlds(**changes: Any) -> tuple[World, ...]:
    values = np.column_stack([np.arange(4.0), np.full(4, np.nan)])
    planned = World("planned", truth(), true_values=values)
    return replace(planned, **changes), World("null", truth(1.0), null=True, accrual_factor=0.7, true_values=values + 10)


def run(**options: Any) -> TrialResults:
    more = {"analysis": Counting(), "trials": TRIALS, "seed": 5, **options}
    return run_campaign(more.pop("design", design()), more.pop("worlds", worlds()), **more)


@pytest.fixture(scope="module")
def alone() -> TrialResults:
    return run()


@pytest.mark.parametrize("workers", [2, 8])
def test_results_do_not_depend_on_the_number_of_workers(alone, workers):
    xr.testing.assert_identical(run(workers=workers).data, alone.data)


def test_results_do_not_depend_on_the_executor(alone):
    with ThreadPoolExecutor(3) as threads:
        xr.testing.assert_identical(run(executor=threads, workers=3).data, alone.data)


class Reversed(ThreadPoolExecutor):
    """An executor that does what waits in the wrong order, when it must: results come out of turn."""

    def __init__(self) -> None:
        super().__init__(1)
        self.kept: list[tuple[Future, Any]] = []

    def submit(self, function: Any, /, *given: Any, **named: Any) -> Future:
        done: Future = Future()
        self.kept.append((done, lambda: function(*given, **named)))
        if len(self.kept) == 2:
            for future, work in reversed(self.kept):
                future.set_result(work())
            self.kept.clear()
        return done


def test_results_do_not_depend_on_the_order_in_which_blocks_are_done(alone):
    with Reversed() as executor:
        xr.testing.assert_identical(run(executor=executor).data, alone.data)


def test_blocks_can_be_done_by_other_processes(alone):
    """Everything that a block needs can be sent; tests are imported by path, so that a packaged analysis stands in."""
    from sitewise.trial.analysis.log_rank import LogRank

    analysis = LogRank()
    here = run(analysis=analysis, trials=40)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as processes:
        there = run(analysis=analysis, trials=40, executor=processes)
    xr.testing.assert_identical(here.data, there.data)


def test_more_trials_have_the_first_ones_as_they_were(alone):
    few = run(trials=100)
    xr.testing.assert_identical(few.data, alone.data.isel(replicate=slice(100)))


def test_another_seed_gives_other_trials(alone):
    other = run(seed=6)
    assert not np.array_equal(other.data["calendar"], alone.data["calendar"])


def test_what_is_kept_is_what_happened(alone):
    """Some trials again, by hand: simulated, looked at, analysed, counted."""
    plan, data = design(), alone.data
    for place, world in enumerate(worlds()):
        trials = simulate_trials(
            world.truth,
            arms=plan.arms,
            accrual=plan.accrual,
            follow_up=plan.follow_up,
            trials=TRIALS,
            seed=5,
            accrual_factor=world.accrual_factor,
        )
        looks = look_times(trials, plan.look, close=30.0)
        own = data.isel(scenario=place)
        np.testing.assert_array_equal(own["row"], trials.row)
        np.testing.assert_array_equal(own["true_value"], world.true_values[trials.row])
        np.testing.assert_array_equal(own["calendar"], looks.calendar)
        np.testing.assert_array_equal(own["reached"], looks.reached)
        np.testing.assert_array_equal(own["status"] != NOT_HELD, looks.held)
        for number in range(3):
            seen = snapshot(
                trials,
                looks.calendar[:, number],
                group_of_profile=world.truth.group_of_profile,
                groups=world.truth.groups,
            )
            held = looks.held[:, number]
            found = Counting().analyse(seen, plan.criterion, seed=5, look=number)
            here = own.isel(look=number)
            np.testing.assert_array_equal(here["status"].to_numpy()[held], found.status[held])
            for name in ("probability", "estimate", "sd"):
                expected = np.where(held[:, None], getattr(found, name), np.nan)
                np.testing.assert_array_equal(here[name], expected)
            entered = trials.enrolled <= looks.calendar[:, number, None]
            np.testing.assert_array_equal(here["patients"], np.where(held, entered.sum(axis=1), 0))
            np.testing.assert_array_equal(here["events"], np.where(held, seen.event.sum(axis=1), 0))
            for arm in (0, 1):
                counted = (seen.event & (trials.arm == arm)).sum(axis=1)
                np.testing.assert_array_equal(here["events_of_arm"][:, arm], np.where(held, counted, 0))
            for group in (0, 1):
                of = trials.profile == group
                for name, counted in (("patients_of_group", entered & of), ("events_of_group", seen.event & of)):
                    np.testing.assert_array_equal(here[name][:, group], np.where(held, counted.sum(axis=1), 0))


def test_the_dataset_is_labelled(alone):
    data = alone.data
    assert data["probability"].dims == ("scenario", "replicate", "look", "criterion")
    assert data["scenario"].to_numpy().tolist() == ["planned", "null"]
    assert data["null"].to_numpy().tolist() == [False, True]
    assert data["look"].to_numpy().tolist() == ["first", "year", "final"]
    assert data["criterion"].to_numpy().tolist() == ["benefit", "hopeless"]
    assert data["risk_group"].to_numpy().tolist() == ["good", "poor"]
    assert data["arm"].to_numpy().tolist() == ["control", "experimental"]
    assert data.attrs["design_hash"] == design().hash
    assert alone.world("null").accrual_factor == 0.7


def test_results_can_be_saved(alone, tmp_path):
    path = alone.save(tmp_path / "deep" / "trials.nc")
    with xr.open_dataset(path, engine="h5netcdf") as again:
        again.load()
    xr.testing.assert_equal(again.astype(float), alone.data.astype(float))


def test_an_interrupted_campaign_goes_on_from_what_is_on_disk(alone, tmp_path):
    @dataclass(frozen=True)
    class Once(Counting):
        def analyse(self, seen: Snapshot, criteria: Any, /, *, seed: int, look: int) -> Analysed:
            done.append(int(seen.number[0]) // BLOCK)
            if len(done) > stop:
                raise KeyboardInterrupt
            return super().analyse(seen, criteria, seed=seed, look=look)

    done: list[int] = []
    stop = 7
    with pytest.raises(KeyboardInterrupt):
        run(analysis=Once(), folder=tmp_path)
    kept = sorted(tmp_path.glob("block-*.npz"))
    assert 0 < len(kept) < 6
    before, told, stop = len(done), [], 10_000
    again = run(analysis=Once(), folder=tmp_path, report=told.append)
    xr.testing.assert_identical(again.data, alone.data)
    assert told[0] == f"{len(kept)} of 6 blocks are on disk already"
    assert len(done) - before <= 3 * (6 - len(kept))
    # Some blocks are lost: only these are done again.
    blocks = sorted(tmp_path.glob("block-*.npz"))
    for number in (1, 4):
        blocks[number].unlink()
    before = len(done)
    xr.testing.assert_identical(run(analysis=Once(), folder=tmp_path, workers=2).data, alone.data)
    assert 0 < len(done) - before <= 6
    # A block that was being written when the machine stopped counts for nothing.
    blocks[2].rename(blocks[2].with_suffix(".part"))
    xr.testing.assert_identical(run(analysis=Once(), folder=tmp_path).data, alone.data)
    before = len(done)
    xr.testing.assert_identical(run(analysis=Once(), folder=tmp_path).data, alone.data)
    assert len(done) == before


def test_a_campaign_can_grow_and_shrink(alone, tmp_path):
    """Whole blocks are used again; the last one of each world, which was cut off, is done anew."""
    for trials, used in ((2 * BLOCK + 5, 0), (TRIALS, 4), (BLOCK, 2)):
        told: list[str] = []
        found = run(folder=tmp_path, trials=trials, report=told.append)
        xr.testing.assert_identical(found.data, alone.data.isel(replicate=slice(trials)))
        assert any(f"{used} of " in text and "on disk" in text for text in told) is (used > 0)


OTHERS = {
    "seed": {"seed": 6},
    "design": {"design": design(**{"arms.patients": 26})},
    "analysis": {"analysis": Counting("another")},
    "truth": {"worlds": worlds(truth=truth(0.61))},
    "accrual": {"worlds": worlds(accrual_factor=2.0)},
    "name": {"worlds": worlds(name="other")},
    "true values": {"worlds": worlds(true_values=np.zeros((4, 2)))},
    "null": {"worlds": worlds(null=True)},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, alone):
    path = tmp_path_factory.mktemp("campaign")
    run(folder=path)
    return path


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS.keys())
def test_the_folder_of_another_campaign_is_refused(folder, other):
    with pytest.raises(TrialError, match="holds the trials of another campaign"):
        run(folder=folder, **other)


def test_few_blocks_wait_whatever_the_size_of_the_campaign(monkeypatch):
    monkeypatch.setattr("sitewise.trial.campaign.run.EVERY", 0.0)  # told of every block

    class Watching(ThreadPoolExecutor):
        most = 0
        now = 0
        lock = threading.Lock()

        def submit(self, function: Any, /, *given: Any, **named: Any) -> Future:
            with self.lock:
                self.now += 1
                self.most = max(self.most, self.now)
            future = super().submit(function, *given, **named)
            return future

        def seen(self) -> None:
            with self.lock:
                self.now -= 1

    with Watching(2) as executor:
        run(executor=executor, workers=2, trials=14 * BLOCK, report=lambda _: executor.seen())
        assert 2 <= executor.most <= 2 * WAITING


def test_an_error_of_an_analysis_is_not_hidden():
    @dataclass(frozen=True)
    class Broken(Counting):
        def analyse(self, seen: Snapshot, criteria: Any, /, *, seed: int, look: int) -> Analysed:
            raise RuntimeError("broken analysis")

    for workers in (1, 2):
        with pytest.raises(RuntimeError, match="broken analysis"):
            run(analysis=Broken(), workers=workers)


def test_progress_is_told_with_numbers(monkeypatch):
    monkeypatch.setattr("sitewise.trial.campaign.run.EVERY", 0.0)
    told: list[str] = []
    run(report=told.append, trials=BLOCK + 1)
    assert len(told) == 4
    assert told[-1].startswith(f"{2 * BLOCK + 2} of {2 * BLOCK + 2} trials, ")
    assert told[-1].endswith(" 0 s left")
