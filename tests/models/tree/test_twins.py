"""Kernels of trees agree with their obvious twins."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hydroscope.ground import rng
from hydroscope.models.tree import binning, histogram, partition, predictor, reference, sampling, splitting, tasks
from hydroscope.models.tree.splitting import BY_COUNT, BY_HESSIAN, Rules

SHIFT = 32


def make_rows(seed, n_rows=400, n_features=6, n_levels=9, missing=0.1):
    """Return words, bins and integer gradients of a small table; the last two features are categories."""
    draw = np.random.default_rng(seed)
    bins = draw.integers(0, n_levels, (n_rows, n_features)).astype(np.uint8)
    bins[draw.random(bins.shape) < missing] = 255
    groups = -(-n_features // 4)
    words = np.zeros((groups, n_rows), np.uint32)
    for j in range(n_features):
        words[j // 4] |= bins[:, j].astype(np.uint32) << np.uint32(8 * (j % 4))
    gradient = draw.integers(-1000, 1000, n_rows)
    hessian = draw.integers(1, 500, n_rows)
    return words, bins, gradient, hessian


def packed_of(gradient, hessian):
    return (gradient << SHIFT) + hessian


def unpacked(cells):
    return cells >> SHIFT, cells & ((1 << SHIFT) - 1)


def test_bins_come_back_out_of_words():
    words, bins, _, _ = make_rows(1)
    np.testing.assert_array_equal(reference.bins_of_words(words, bins.shape[1]), bins)


@pytest.mark.parametrize("threads", [False, True])
@pytest.mark.parametrize("share", [1.0, 0.6])
def test_histograms_are_the_sums_by_bin(threads, share, monkeypatch):
    monkeypatch.setattr(tasks, "TILE_ROWS", 64)
    monkeypatch.setattr(tasks, "SMALL_WORK", 0)
    words, bins, gradient, hessian = make_rows(2)
    rows = np.flatnonzero(np.random.default_rng(3).random(len(gradient)) < share).astype(np.int32)
    ranges = np.array([[0, 0, len(rows)]], np.int64)
    nodes, groups = np.zeros(1, np.int64), np.arange(len(words))
    found = tasks.node_histogram(words, packed_of(gradient, hessian), rows, ranges, nodes, groups, threads)
    g, h = unpacked(found[0].reshape(-1, 256))
    wanted = reference.histogram(bins, gradient, hessian, rows)
    np.testing.assert_array_equal(g[:6], wanted[0])
    np.testing.assert_array_equal(h[:6], wanted[1])


@pytest.mark.parametrize("threads", [False, True])
def test_histograms_of_several_nodes_and_of_counts(threads, monkeypatch):
    monkeypatch.setattr(tasks, "TILE_ROWS", 64)
    monkeypatch.setattr(tasks, "SMALL_WORK", 0)
    words, bins, gradient, hessian = make_rows(4)
    order = np.random.default_rng(5).permutation(len(gradient)).astype(np.int32)
    cuts = [0, 150, 150, 310, 400]
    rows = np.concatenate([np.sort(order[a:b]) for a, b in itertools.pairwise(cuts)])
    ranges = np.array([[7, 0, 150], [8, 150, 150], [3, 150, 310], [4, 310, 400]], np.int64)
    nodes, groups = np.array([4, 8, 7], np.int64), np.arange(len(words))
    found = tasks.node_histogram(words, packed_of(gradient, hessian), rows, ranges, nodes, groups, threads)
    counts = tasks.count_histogram(words, np.zeros(0, np.int64), rows, ranges, nodes, groups, threads)
    weights = tasks.count_histogram(words, hessian, rows, ranges, nodes, groups, threads)
    for k, (start, end) in enumerate([(310, 400), (150, 150), (0, 150)]):
        g, h = unpacked(found[k].reshape(-1, 256))
        wanted = reference.histogram(bins, gradient, hessian, rows[start:end])
        np.testing.assert_array_equal(g[:6], wanted[0])
        np.testing.assert_array_equal(h[:6], wanted[1])
        np.testing.assert_array_equal(weights[k].reshape(-1, 256)[:6], wanted[1])
        ones = reference.histogram(bins, gradient, np.ones_like(hessian), rows[start:end])[1]
        np.testing.assert_array_equal(counts[k].reshape(-1, 256)[:6], ones)


def test_a_sibling_is_the_parent_less_the_child():
    words, _, gradient, hessian = make_rows(6)
    packed, n = packed_of(gradient, hessian), len(gradient)
    rows = np.concatenate([np.arange(0, n, 3), np.setdiff1d(np.arange(n), np.arange(0, n, 3))]).astype(np.int32)
    cut = len(np.arange(0, n, 3))
    ranges = np.array([[1, 0, cut], [2, cut, n]], np.int64)
    whole = np.array([[0, 0, n]], np.int64)
    groups = np.arange(len(words))
    both = tasks.node_histogram(words, packed, rows, ranges, np.array([1, 2]), groups, False)
    parent = tasks.node_histogram(words, packed, np.arange(n, dtype=np.int32), whole, np.array([0]), groups, False)
    out = np.empty_like(parent[0])
    splitting.subtract(parent[0], both[0], out)
    np.testing.assert_array_equal(out, both[1])


def find_both(seed, mode, min_rows, l2, missing):
    """Return what the kernel and the twin find on random small histograms, and the tables of both."""
    _, bins, gradient, hessian = make_rows(seed, n_rows=60, n_levels=5, missing=missing)
    n_features = bins.shape[1]
    is_enum = np.array([0, 0, 0, 0, 1, 1], np.uint8)
    if mode == BY_HESSIAN:
        hessian[:] = 1
    g, h = reference.histogram(bins, gradient, hessian, np.arange(len(bins)))
    weight = reference.histogram(bins, gradient, np.ones_like(hessian), np.arange(len(bins)))[1]
    rules = Rules(SHIFT, 1.0, 1.0, l2, 0.0, mode, min_rows, 3.0)
    cells = ((g << SHIFT) + h).reshape(-1)
    counts = weight.reshape(-1).copy() if mode == BY_COUNT else np.zeros(0, np.int64)
    found, table = np.empty(4, np.int64), np.zeros(256, np.uint8)
    total = int((gradient.sum() << SHIFT) + hessian.sum())
    n_bins = np.full(n_features, 5, np.int32)
    features = np.arange(n_features, dtype=np.int32)
    gain = splitting.find(cells, counts, total, features, n_bins, is_enum, rules, found, table)
    twin = reference.find(g, h, weight, is_enum, l2, min_rows if mode != splitting.ANY else 0, 3.0)
    return gain, found, table, twin, h


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 10_000),
    mode=st.sampled_from([splitting.ANY, BY_HESSIAN, BY_COUNT]),
    min_rows=st.sampled_from([1, 5, 20, 31]),
    l2=st.sampled_from([0.0, 1.0, 100.0]),
    missing=st.sampled_from([0.0, 0.2]),
)
def test_the_best_split_is_the_twins(seed, mode, min_rows, l2, missing):
    gain, found, table, twin, h = find_both(seed, mode, min_rows, l2, missing)
    if twin is None:
        assert found[splitting.FEATURE] == -1
        assert gain == 0.0
        return
    assert gain == pytest.approx(twin.gain, rel=1e-9)
    feature = int(found[splitting.FEATURE])
    present = set(np.flatnonzero(h[feature] > 0).tolist())
    assert (feature, set(np.flatnonzero(table).tolist()) & present) == (twin.feature, set(twin.left))
    inside = list(twin.left)
    assert found[splitting.LEFT] & ((1 << SHIFT) - 1) == h[feature, inside].sum()


def test_what_a_node_never_saw_goes_with_most_of_its_rows():
    g, h = np.zeros((4, 256), np.int64), np.zeros((4, 256), np.int64)
    g[0, :2], h[0, :2] = (-50, 90), (5, 9)
    rules = Rules(SHIFT, 1.0, 1.0, 1.0, 0.0, splitting.ANY, 0, 1.0)
    total = int((40 << SHIFT) + 14)
    for is_enum in (0, 1):
        found, table = np.empty(4, np.int64), np.zeros(256, np.uint8)
        kind = np.full(4, is_enum, np.uint8)
        cells = ((g << SHIFT) + h).reshape(-1)
        features, n_bins = np.zeros(1, np.int32), np.full(4, 3, np.int32)
        splitting.find(cells, np.zeros(0, np.int64), total, features, n_bins, kind, rules, found, table)
        heavier = table[1]
        assert h[0, 1] > h[0, 0]
        assert table[0] != heavier
        assert table[255] == heavier
        if is_enum:
            assert table[2] == heavier


@pytest.mark.parametrize("threads", [False, True])
def test_rows_part_stably(threads, monkeypatch):
    monkeypatch.setattr(tasks, "PIECE_ROWS", 32)
    words, bins, _, _ = make_rows(8)
    rows = np.arange(400, dtype=np.int32)
    draw = np.random.default_rng(9)
    tables = draw.integers(0, 2, (2, 256)).astype(np.uint8)
    ranges = np.array([[5, 0, 130], [6, 130, 200], [7, 200, 400]], np.int64)
    nodes, features, children = np.array([5, 7]), np.array([3, 5]), np.array([10, 12])
    out, after = tasks.split_nodes(words, rows, ranges, nodes, features, tables, children, threads)
    wanted = [*reference.partition(bins[:, 3], np.arange(130), tables[0])]
    wanted += [np.arange(130, 200), *reference.partition(bins[:, 5], np.arange(200, 400), tables[1])]
    np.testing.assert_array_equal(out, np.concatenate(wanted))
    assert after[:, 0].tolist() == [10, 11, 6, 12, 13]
    assert (after[:, 2] - after[:, 1]).tolist() == [len(each) for each in wanted]
    leaves, counts = tasks.assign_leaves(words, rows, ranges, nodes, features, tables, children, None, threads)
    for node, part in zip((10, 11, 6, 12, 13), wanted, strict=True):
        assert set(leaves[part].tolist()) == {node}
        assert dict(counts.tolist())[node] == len(part)


def random_forest(seed, n_trees, n_features, depth):
    """Return a forest of random trees, some of them a single leaf."""
    draw = np.random.default_rng(seed)
    trees = []
    for k in range(n_trees):
        feature, left, queue = [-1], [0], [(0, 0)]
        deepest = 0
        while queue:
            node, level = queue.pop(0)
            if level < depth and draw.random() < (0.8 if k else 0.0):
                feature[node] = int(draw.integers(n_features))
                left[node] = len(feature)
                feature += [-1, -1]
                left += [left[node], left[node] + 1]
                queue += [(left[node], level + 1), (left[node] + 1, level + 1)]
                deepest = max(deepest, level + 1)
        n = len(feature)
        tables = draw.integers(0, 2, (n, 256)).astype(np.uint8)
        tables[np.array(feature) < 0] = 1
        trees.append(
            predictor.Forest(
                np.array([0, n]),
                np.array([deepest], np.int32),
                np.array([k % 2], np.int32),
                np.array(feature, np.int32),
                np.array(left, np.int32),
                predictor.pack_table(tables),
                np.full(n, np.nan),
                draw.normal(size=n),
                np.zeros(n),
                np.zeros(n),
                np.zeros(n, np.int64),
            )
        )
    return predictor.join(trees)


def test_walking_trees_is_the_twins_walk():
    words, bins, _, _ = make_rows(10, n_rows=3000, n_levels=200)
    forest = random_forest(11, 7, bins.shape[1], 5)
    scores = np.repeat(np.array([0.5, -0.5])[:, None], 3000, axis=1)
    nodes = (forest.starts, forest.depths, forest.output, forest.feature, forest.left, forest.mask, forest.value)
    predictor.add_trees(words, *nodes, 0, 3000, scores)
    np.testing.assert_array_equal(scores, reference.predict(bins, np.array([0.5, -0.5]), forest))
    leaf = np.full(3000, -1, np.int32)
    rows = np.arange(0, 3000, 2, dtype=np.int32)
    a, b = forest.starts[3], forest.starts[4]
    depth = int(forest.depths[3])
    predictor.leaf_of_rows(
        words, forest.feature[a:b], forest.left[a:b], forest.mask[a:b], depth, rows, 0, len(rows), leaf
    )
    np.testing.assert_array_equal(leaf[::2], reference.tree_values(bins, forest, 3)[0][::2])
    assert (leaf[1::2] == -1).all()


def test_the_first_trees_of_a_forest_are_a_forest():
    forest = random_forest(12, 5, 4, 3)
    first = forest.first(3)
    assert first.n_trees == 3
    assert len(first.feature) == forest.starts[3]


def test_row_samples_are_the_streams_numbers():
    kept = np.arange(0, 5000, 3, dtype=np.int32)
    out = np.empty(len(kept), np.int32)
    stream = rng.key(7, 1, 2)
    n = sampling.sample_rows(kept, 1000, np.uint64(stream), 0.3, out)
    wanted = kept[rng.uniforms(stream, 1000, 5000)[kept] < 0.3]
    np.testing.assert_array_equal(out[:n], wanted)
    assert 0.25 < n / len(kept) < 0.35


def test_cuts_of_tiles_are_found_in_every_node():
    rows = np.concatenate([np.arange(0, 100, 2), np.arange(1, 100, 2), np.zeros(0, np.int64)]).astype(np.int32)
    starts, ends = np.array([0, 50, 100]), np.array([50, 100, 100])
    out = np.empty((4, 3), np.int64)
    histogram.tile_cuts(rows, starts, ends, 40, out)
    for node, (a, b) in enumerate(zip(starts, ends, strict=True)):
        wanted = [a + np.searchsorted(rows[a:b], edge) for edge in (0, 40, 80)] + [b]
        assert out[:, node].tolist() == wanted


def test_copying_rows_and_assigning_nodes():
    source, out = np.arange(10, dtype=np.int32), np.zeros(10, np.int32)
    partition.copy_rows(source, 2, 3, out, 5)
    assert out.tolist() == [0, 0, 0, 0, 0, 2, 3, 4, 0, 0]
    partition.assign(source, 0, 2, 9, out)
    assert out[:2].tolist() == [9, 9]


def test_binning_is_searchsorted_with_missing_last():
    draw = np.random.default_rng(13)
    values = np.concatenate([draw.normal(size=500), [np.nan, np.inf, -np.inf, 0.0, -0.0]])
    edges = binning.number_edges(values, 16)
    bins = (binning.FeatureBins("x", edges, None, np.zeros(0, np.uint8)),) * 3
    matrix = np.stack([values] * 3, axis=1)
    for layout in (matrix, np.asfortranarray(matrix), matrix.astype(np.float32), np.array(matrix)[:, ::-1]):
        found = reference.bins_of_words(binning.bin_array(bins, layout, False), 3)
        plain = layout.astype(np.float64)
        wanted = np.where(np.isnan(plain), 255, np.searchsorted(edges, plain, side="left"))
        np.testing.assert_array_equal(found, wanted)
