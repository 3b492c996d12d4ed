"""The loops of the metrics over rows; twins of `metrics.reference`.

Sums are taken in tiles of 1,024 rows, one partial sum a tile: the caller adds those exactly
(`math.fsum`), so that the error does not grow with the number of rows.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hydroscope.ground.jit import typed_kernel

__all__ = [
    "TILE_ROWS",
    "binary_losses",
    "cumulate_sorted",
    "merge_sorted",
    "multinomial_pass",
    "regression_sums",
]

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

TILE_ROWS = 1_024
EPS = 2.0**-52


@typed_kernel("const f8[], const f8[], f8[], i8[], i8[]")
def merge_sorted(
    positives: F64,  # IN (n_positives,) ascending
    negatives: F64,  # IN (n_negatives,) ascending
    thresholds: F64,  # OUT (n_positives + n_negatives,)
    tps: I64,  # OUT likewise
    fps: I64,  # OUT likewise
) -> int:
    """Write the distinct scores, descending, with the counts at or above each; return how many. O(n)."""
    i = len(positives) - 1
    j = len(negatives) - 1
    n = 0
    while i >= 0 or j >= 0:
        if j < 0 or (i >= 0 and positives[i] >= negatives[j]):
            score = positives[i]
        else:
            score = negatives[j]
        while i >= 0 and positives[i] == score:
            i -= 1
        while j >= 0 and negatives[j] == score:
            j -= 1
        thresholds[n] = score
        tps[n] = len(positives) - 1 - i
        fps[n] = len(negatives) - 1 - j
        n += 1
    return n


@typed_kernel("const i8[], const f8[], const f8[], const f8[], f8[], f8[], f8[]")
def cumulate_sorted(
    order: I64,  # IN (n,) rows by descending score
    actual: F64,  # IN (n,) 0.0 or 1.0
    score: F64,  # IN (n,)
    weight: F64,  # IN (n,)
    thresholds: F64,  # OUT (n,)
    tps: F64,  # OUT (n,)
    fps: F64,  # OUT (n,)
) -> int:
    """Write the distinct scores and the weights at or above each; return how many. O(n).

    The running sums are compensated (Neumaier), for they are as long as the data.
    """
    tp = fp = tp_rest = fp_rest = 0.0
    n = 0
    for k in range(len(order)):
        row = order[k]
        w = weight[row]
        if actual[row] == 1.0:
            total = tp + w
            tp_rest += (tp - total) + w if tp >= w else (w - total) + tp
            tp = total
        else:
            total = fp + w
            fp_rest += (fp - total) + w if fp >= w else (w - total) + fp
            fp = total
        if k == len(order) - 1 or score[order[k + 1]] != score[row]:
            thresholds[n] = score[row]
            tps[n] = tp + tp_rest
            fps[n] = fp + fp_rest
            n += 1
    return n


@typed_kernel("const f8[], const f8[], const f8[], f8[], f8[]")
def binary_losses(
    actual: F64,  # IN (n,) 0.0 or 1.0
    score: F64,  # IN (n,)
    weight: F64,  # IN (n,), or (0,) for ones
    log_loss: F64,  # OUT (n_tiles,)
    squared: F64,  # OUT (n_tiles,)
) -> None:
    """Write each tile's sums of log loss and squared error. O(n)."""
    for tile in range(len(log_loss)):
        log_sum = square_sum = 0.0
        for row in range(tile * TILE_ROWS, min((tile + 1) * TILE_ROWS, len(actual))):
            w = weight[row] if len(weight) > 0 else 1.0
            chance = score[row] if actual[row] == 1.0 else 1.0 - score[row]
            log_sum -= w * np.log(max(chance, EPS))
            difference = actual[row] - score[row]
            square_sum += w * difference * difference
        log_loss[tile] = log_sum
        squared[tile] = square_sum


@typed_kernel("const i8[], const f8[], const f8[], f8[], f8[], f8[], f8[]")
def multinomial_pass(
    actual: I64,  # IN (n,) codes
    probabilities: F64,  # IN (n * n_classes,) row by row
    weight: F64,  # IN (n,), or (0,) for ones
    confusion: F64,  # OUT (n_classes * n_classes,), zeros: by actual, then predicted class
    ranks: F64,  # OUT (n_classes,), zeros: weight by rank of the true class
    log_loss: F64,  # OUT (n_tiles,)
    squared: F64,  # OUT (n_tiles,)
) -> None:
    """Count confusions and ranks, and write each tile's sums. O(n * n_classes)."""
    n_classes = len(ranks)
    for tile in range(len(log_loss)):
        log_sum = square_sum = 0.0
        for row in range(tile * TILE_ROWS, min((tile + 1) * TILE_ROWS, len(actual))):
            w = weight[row] if len(weight) > 0 else 1.0
            true = actual[row]
            first = row * n_classes
            chance = probabilities[first + true]
            best = 0
            rank = 0
            for c in range(n_classes):
                p = probabilities[first + c]
                if p > probabilities[first + best]:
                    best = c
                if p > chance or (p == chance and c < true):
                    rank += 1
            confusion[true * n_classes + best] += w
            ranks[rank] += w
            log_sum -= w * np.log(max(chance, EPS))
            square_sum += w * (1.0 - chance) * (1.0 - chance)
        log_loss[tile] = log_sum
        squared[tile] = square_sum


@typed_kernel("const f8[], const f8[], const f8[], f8, f8[], f8[], f8[]")
def regression_sums(
    actual: F64,  # IN (n,)
    predicted: F64,  # IN (n,)
    weight: F64,  # IN (n,), or (0,) for ones
    mean: float,
    squared: F64,  # OUT (n_tiles,)
    absolute: F64,  # OUT (n_tiles,)
    about_mean: F64,  # OUT (n_tiles,)
) -> None:
    """Write each tile's sums of squared and absolute errors and of squares about `mean`. O(n)."""
    for tile in range(len(squared)):
        square_sum = absolute_sum = mean_sum = 0.0
        for row in range(tile * TILE_ROWS, min((tile + 1) * TILE_ROWS, len(actual))):
            w = weight[row] if len(weight) > 0 else 1.0
            error = actual[row] - predicted[row]
            square_sum += w * error * error
            absolute_sum += w * abs(error)
            mean_sum += w * (actual[row] - mean) * (actual[row] - mean)
        squared[tile] = square_sum
        absolute[tile] = absolute_sum
        about_mean[tile] = mean_sum
