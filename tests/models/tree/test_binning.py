"""Bins: few values keep theirs, many are cut into equal shares, levels are grouped with sense."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hydroscope.models.tree import binning


def bin_of(values, edges):
    return np.searchsorted(edges, values, side="left")


@pytest.mark.parametrize("n_values", [1, 2, 3, 254, 255])
def test_few_values_have_a_bin_each(n_values):
    values = np.repeat(np.arange(n_values) * 1.5 - 7, 3)
    edges = binning.number_edges(values, 255)
    assert len(edges) == n_values - 1
    assert np.array_equal(bin_of(values, edges), np.repeat(np.arange(n_values), 3))


def test_edges_are_midway():
    np.testing.assert_array_equal(binning.number_edges(np.array([1.0, 2.0, 4.0]), 255), [1.5, 3.0])


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.floats(allow_nan=True, allow_infinity=True, width=64), min_size=1, max_size=300),
    st.integers(2, 255),
)
def test_edges_keep_order_whatever_the_values(values, max_bins):
    sample = np.array(values)
    edges = binning.number_edges(sample, max_bins)
    assert len(edges) <= max_bins - 1
    assert not np.isnan(edges).any()
    assert (np.diff(edges) > 0).all()
    present = np.sort(sample[~np.isnan(sample)])
    bins = bin_of(present, edges)
    assert (np.diff(bins) >= 0).all()
    if len(np.unique(present)) <= max_bins:
        assert len(np.unique(bins)) == len(np.unique(present))
    if len(present):
        assert np.array_equal(np.unique(bins), np.arange(len(edges) + 1))  # no bin is empty


def test_many_values_are_cut_into_equal_shares():
    values = np.random.default_rng(1).lognormal(0, 3, 100_000)
    shares = np.bincount(bin_of(values, binning.number_edges(values, 255)))
    assert len(shares) == 255
    assert shares.max() < 1.2 * shares.min()


def test_a_frequent_value_keeps_its_bin_and_takes_none_from_the_rest():
    draw = np.random.default_rng(2)
    values = np.concatenate([np.zeros(60_000), draw.normal(size=40_000)])
    edges = binning.number_edges(values, 255)
    bins = bin_of(values, edges)
    zero = bin_of(0.0, edges)
    assert set(values[bins == zero].tolist()) == {0.0}
    rest = np.bincount(bins)[np.unique(bins[values != 0])]
    assert len(rest) > 250
    assert rest.max() < 2 * np.median(rest)


def test_no_value_at_all_is_one_bin():
    assert len(binning.number_edges(np.array([np.nan, np.nan]), 255)) == 0


def test_the_sample_is_evenly_spread():
    assert binning.sample_rows_evenly(10).tolist() == list(range(10))
    rows = binning.sample_rows_evenly(1_000_003)
    assert len(rows) == binning.EDGE_SAMPLE_ROWS
    assert set(np.diff(rows).tolist()) <= {5, 6}
    assert rows[-1] > 999_990


def test_levels_are_bins_and_unused_ones_are_missing():
    found = binning.level_bins(np.array([3, 0, 2, 1]), np.zeros(4), 255)
    assert found.tolist() == [0, 255, 1, 2]


def test_rare_levels_share_bins_by_their_mean():
    draw = np.random.default_rng(3)
    counts = np.concatenate([np.full(200, 1000), np.full(400, 50)])
    means = draw.random(600)
    found = binning.level_bins(counts, means * counts, 255)
    assert len(np.unique(found)) == 255
    assert len(np.unique(found[:200])) == 200  # frequent levels are alone
    assert not set(found[:200].tolist()) & set(found[200:][np.bincount(found)[found[200:]] > 1].tolist())
    shared = found[200:][np.bincount(found)[found[200:]] > 1]
    spread = [np.ptp(means[found == each]) for each in np.unique(shared)]
    assert max(spread) < 0.2
