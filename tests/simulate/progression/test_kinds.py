"""Kinds of first failure: hand-worked compositions, exact dealing, binomial margins."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

import sitewise as sw
from sitewise.evidence.entries_of_counts import Count, Failures
from sitewise.problems import EvidenceError
from sitewise.simulate.progression.kinds import Kinds


def made(evidence, total, **counts):
    entries = [Count("total", "Failures", "Text", ("words",), count=total)]
    entries += [Count(name, name, "Text", ("words",), count=count) for name, count in counts.items()]
    pattern = Failures("first", "total", {name: name for name in counts})
    return replace(evidence, count=tuple(entries), failures=(pattern,))


def composition(kinds):
    return dict(zip(kinds.labels, kinds.counts, strict=True))


def test_krog_has_one_patient_with_both(evidence):
    """84 failures, 69 distant, 16 % of 100 patients local: 69 + 16 - 84 = 1 with both."""
    kinds = Kinds.of(evidence)
    assert composition(kinds) == {"distant": 68, "local": 15, "distant and local": 1}
    assert (kinds.total, kinds.status, kinds.id) == (84, "fit", "failure")


def test_krog_read_as_a_miscount(evidence):
    kinds = Kinds.of(evidence, overlap="miscount")
    assert composition(kinds) == pytest.approx({"distant": 69 * 84 / 85, "local": 16 * 84 / 85})


def test_kinds_that_leave_failures_over(evidence):
    assert composition(Kinds.of(made(evidence, 20, a=12, b=5))) == {"a": 12, "b": 5, "other": 3}
    assert composition(Kinds.of(made(evidence, 17, a=12, b=5))) == {"a": 12, "b": 5}


def test_three_kinds_that_overlap_keep_their_counts(evidence):
    """Excess 3, pairs in proportion to 8 x 4, 8 x 2, 4 x 2: 32, 16 and 8 of 56."""
    found = composition(Kinds.of(made(evidence, 11, a=8, b=4, c=2)))
    assert found["a and b"] == pytest.approx(3 * 32 / 56)
    assert found["b and c"] == pytest.approx(3 * 8 / 56)
    assert sum(found.values()) == pytest.approx(11)
    for name, count in {"a": 8, "b": 4, "c": 2}.items():
        assert sum(value for label, value in found.items() if name in label.split(" and ")) == pytest.approx(count)


def test_what_cannot_be_is_refused(evidence):
    with pytest.raises(EvidenceError, match="more than two kinds at once"):
        Kinds.of(made(evidence, 4, a=4, b=3, c=4))
    with pytest.raises(EvidenceError, match="more patients than the 10"):
        Kinds.of(made(evidence, 10, a=12, b=3))
    nowhere = replace(evidence, failures=(Failures("first", "nothing", {"a": "failure"}),))
    with pytest.raises(EvidenceError, match="nothing"):
        Kinds.of(nowhere)


def test_a_paper_without_a_pattern_has_none(evidence):
    assert Kinds.of(replace(evidence, failures=())) is None
    assert Kinds.of(evidence, endpoint="dfs") is None
    assert Kinds.of(sw.load_evidence("krog-20-04")) is not None


def test_dealt_kinds_are_the_printed_counts(evidence):
    rng = np.random.default_rng(1)
    kinds = Kinds.of(evidence)
    failure = np.zeros((20, 100), dtype=bool)
    for row in failure:
        row[rng.choice(100, 84, replace=False)] = True
    codes = kinds.dealt(rng, failure)
    assert (kinds.tally(codes) == [68, 15, 1]).all()
    assert ((codes > 0) == failure).all()
    assert len(np.unique(codes, axis=0)) == 20


def test_drawn_kinds_have_their_shares(evidence):
    rng = np.random.default_rng(2)
    kinds = Kinds.of(evidence)
    failure = rng.random((500, 100)) < 0.8
    codes = kinds.drawn(rng, failure, kinds.shares(rng, 500, certain=True))
    assert ((codes > 0) == failure).all()
    total = int(failure.sum())
    for count, share in zip(kinds.tally(codes).sum(axis=0), (68 / 84, 15 / 84, 1 / 84), strict=True):
        assert stats.binomtest(int(count), total, share).pvalue > 1e-4


def test_uncertain_shares_are_dirichlet(evidence):
    """Counts plus a half each: the first share is Beta(68.5, 16.5 + 0.5), a Kolmogorov-Smirnov test says so."""
    shares = Kinds.of(evidence).shares(np.random.default_rng(3), 4000, certain=False)
    assert shares.sum(axis=1) == pytest.approx(1.0)
    assert stats.kstest(shares[:, 0], stats.beta(68.5, 17).cdf).pvalue > 1e-3
