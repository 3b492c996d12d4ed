"""Kernels of trees agree with their obvious twins."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hydroscope.ground import rng
from hydroscope.models.tree import binning, predictor, reference, splitting, tasks
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


def runs_of(parts, n_rows, tile_rows):
    """Return order and starts by which slot k holds the rows parts[k]."""
    n_tiles = -(-n_rows // tile_rows)
    order, starts = np.zeros(n_rows, np.uint16), np.zeros((n_tiles, len(parts) + 1), np.int32)
    for tile in range(n_tiles):
        base = tile * tile_rows
        inside = [np.sort(part[(part >= base) & (part < base + tile_rows)]) - base for part in parts]
        starts[tile] = np.concatenate([[0], np.cumsum([len(each) for each in inside])])
        order[base : base + starts[tile, -1]] = np.concatenate(inside)
    return order, starts


def rows_of(order, starts, tile_rows):
    """Return the rows of each slot: what `runs_of` was given."""
    found = []
    for slot in range(starts.shape[1] - 1):
        parts = [
            tile * tile_rows + order[tile * tile_rows + begins[slot] : tile * tile_rows + begins[slot + 1]].astype(int)
            for tile, begins in enumerate(starts)
        ]
        found.append(np.concatenate(parts))
    return found


@pytest.mark.parametrize("threads", [False, True])
@pytest.mark.parametrize("share", [1.0, 0.6])
@pytest.mark.parametrize("some_kept", [False, True])
def test_a_new_tree_has_its_rows_in_slots_and_their_histogram(threads, share, some_kept, monkeypatch):
    monkeypatch.setattr(tasks, "TILE_ROWS", 64)
    monkeypatch.setattr(tasks, "SMALL_WORK", 0)
    monkeypatch.setattr(tasks, "SERIAL_ROWS", 0)
    words, bins, gradient, hessian = make_rows(2)
    n = len(gradient)
    kept = (np.arange(n) % 5 > 0).astype(np.uint8) if some_kept else np.zeros(0, np.uint8)
    order, starts = tasks.start(words, kept, 1000, rng.key(7, 1), share, threads)
    drawn = rng.uniforms(rng.key(7, 1), 1000, n) < share
    wanted = np.flatnonzero(drawn & (kept > 0) if some_kept else drawn)
    slots = rows_of(order, starts, 64)
    np.testing.assert_array_equal(slots[0], wanted)
    if len(slots) == 2:
        np.testing.assert_array_equal(slots[1], np.setdiff1d(np.arange(n), wanted))
    else:
        assert len(wanted) == n
    groups = np.arange(len(words))
    packed, slot = packed_of(gradient, hessian), np.zeros(1, np.int64)
    g, h = unpacked(tasks.node_histogram(words, packed, order, starts, slot, groups, threads)[0].reshape(-1, 256))
    sums = reference.histogram(bins, gradient, hessian, wanted)
    np.testing.assert_array_equal(g[:6], sums[0])
    np.testing.assert_array_equal(h[:6], sums[1])
    counts = tasks.count_histogram(words, hessian, order, starts, slot, groups, threads)
    np.testing.assert_array_equal(counts[0].reshape(-1, 256)[:6], sums[1])


@pytest.mark.parametrize("threads", [False, True])
@pytest.mark.parametrize("n_features", [6, 9])
def test_histograms_of_several_nodes_and_of_counts(threads, n_features, monkeypatch):
    monkeypatch.setattr(tasks, "TILE_ROWS", 64)
    monkeypatch.setattr(tasks, "SMALL_WORK", 0)
    words, bins, gradient, hessian = make_rows(4, n_features=n_features)
    shuffled = np.random.default_rng(5).permutation(len(gradient))
    parts = [shuffled[:150], shuffled[150:150], shuffled[150:310], shuffled[310:]]
    order, starts = runs_of(parts, len(gradient), 64)
    slots, groups = np.array([3, 1, 0], np.int64), np.arange(len(words))
    found = tasks.node_histogram(words, packed_of(gradient, hessian), order, starts, slots, groups, threads)
    counts = tasks.count_histogram(words, np.zeros(0, np.int64), order, starts, slots, groups, threads)
    weights = tasks.count_histogram(words, hessian, order, starts, slots, groups, threads)
    for k, slot in enumerate(slots):
        g, h = unpacked(found[k].reshape(-1, 256))
        wanted = reference.histogram(bins, gradient, hessian, parts[slot])
        np.testing.assert_array_equal(g[:n_features], wanted[0])
        np.testing.assert_array_equal(h[:n_features], wanted[1])
        np.testing.assert_array_equal(weights[k].reshape(-1, 256)[:n_features], wanted[1])
        ones = reference.histogram(bins, gradient, np.ones_like(hessian), parts[slot])[1]
        np.testing.assert_array_equal(counts[k].reshape(-1, 256)[:n_features], ones)


def test_a_sibling_is_the_parent_less_the_child():
    words, _, gradient, hessian = make_rows(6)
    packed, n = packed_of(gradient, hessian), len(gradient)
    third = np.arange(0, n, 3)
    groups = np.arange(len(words))
    order, starts = runs_of([third, np.setdiff1d(np.arange(n), third)], n, tasks.TILE_ROWS)
    both = tasks.node_histogram(words, packed, order, starts, np.array([0, 1]), groups, False)
    whole = tasks.start(words, np.zeros(0, np.uint8), 0, 0, 1.0, False)
    parent = tasks.node_histogram(words, packed, *whole, np.array([0]), groups, False)
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
    monkeypatch.setattr(tasks, "TILE_ROWS", 64)
    monkeypatch.setattr(tasks, "PIECE_ROWS", 128)
    words, bins, _, _ = make_rows(8)
    draw = np.random.default_rng(9)
    tables = draw.integers(0, 2, (2, 256)).astype(np.uint8)
    shuffled = draw.permutation(400)
    parts = [np.sort(part) for part in (shuffled[:130], shuffled[130:200], shuffled[200:])]
    order, starts = runs_of(parts, 400, 64)
    plan = tasks.Plan(np.array([0, -1, 1]), np.array([0, 1]), np.array([24, 8]), tables)
    out, after = tasks.split_rows(words, order.copy(), starts, plan, threads)
    wanted = [*reference.partition(bins[:, 3], parts[0], tables[0])]
    wanted += [parts[1], *reference.partition(bins[:, 5], parts[2], tables[1])]
    for found, part in zip(rows_of(out, after, 64), wanted, strict=True):
        np.testing.assert_array_equal(found, part)
    leaves, counts = tasks.settle_rows(words, order, starts, plan, np.array([10, 6, 12]), threads)
    for node, part in zip((10, 11, 6, 12, 13), wanted, strict=True):
        assert set(leaves[part].tolist()) == {node}
    assert counts.tolist() == [[len(wanted[0]), 0, len(wanted[3])], [130, 70, 200]]


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


def test_the_first_trees_of_a_forest_are_a_forest():
    forest = random_forest(12, 5, 4, 3)
    first = forest.first(3)
    assert first.n_trees == 3
    assert len(first.feature) == forest.starts[3]


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
