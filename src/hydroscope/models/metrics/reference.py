"""What each metric is, in obvious Python: the specification that the kernels are tested against.

Costs are those of a definition written down, not of an algorithm: O(n**2) where pairs are
counted, O(n * distinct) where every threshold is tried.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = [
    "average_precision",
    "binary_losses",
    "cumulative_counts",
    "multinomial_pass",
    "pairwise_auc",
    "regression_sums",
]

EPS = 2.0**-52


def pairwise_auc(actual: Sequence[int], score: Sequence[float], weight: Sequence[float]) -> float:
    """Return the chance that a random positive outranks a random negative, a tie counting half. O(n**2)."""
    won = pairs = 0.0
    for i in range(len(actual)):
        for j in range(len(actual)):
            if actual[i] == 1 and actual[j] == 0:
                pair = weight[i] * weight[j]
                pairs += pair
                won += pair * (1.0 if score[i] > score[j] else 0.5 if score[i] == score[j] else 0.0)
    return won / pairs


def cumulative_counts(
    actual: Sequence[int], score: Sequence[float], weight: Sequence[float]
) -> tuple[list[float], list[float], list[float]]:
    """Return the distinct scores, descending, and the weight of positives and negatives at or above each."""
    thresholds = sorted(set(score), reverse=True)
    rows = list(zip(actual, score, weight, strict=True))
    positives = [math.fsum(w for a, s, w in rows if s >= t and a == 1) for t in thresholds]
    negatives = [math.fsum(w for a, s, w in rows if s >= t and a == 0) for t in thresholds]
    return thresholds, positives, negatives


def average_precision(actual: Sequence[int], score: Sequence[float], weight: Sequence[float]) -> float:
    """Return the mean of the precision over the steps of the recall. O(n * distinct)."""
    _, positives, negatives = cumulative_counts(actual, score, weight)
    total, before, area = positives[-1], 0.0, 0.0
    for tp, fp in zip(positives, negatives, strict=True):
        if tp > before:
            area += (tp - before) / total * tp / (tp + fp)
        before = tp
    return area


def binary_losses(actual: Sequence[int], score: Sequence[float], weight: Sequence[float]) -> tuple[float, float]:
    """Return the weighted sums of the log loss (clipped at 2**-52) and of the squared error. O(n)."""
    log_loss = squared = 0.0
    for a, s, w in zip(actual, score, weight, strict=True):
        chance = s if a == 1 else 1.0 - s
        log_loss -= w * math.log(max(chance, EPS))
        squared += w * (a - s) ** 2
    return log_loss, squared


def multinomial_pass(
    actual: Sequence[int], probabilities: Sequence[Sequence[float]], weight: Sequence[float]
) -> tuple[list[list[float]], list[float], float, float]:
    """Return confusion (actual, predicted), weight by rank of the true class, log loss and squared error sums."""
    n_classes = len(probabilities[0])
    confusion = [[0.0] * n_classes for _ in range(n_classes)]
    ranks = [0.0] * n_classes
    log_loss = squared = 0.0
    for a, row, w in zip(actual, probabilities, weight, strict=True):
        order = sorted(range(n_classes), key=lambda c: (-row[c], c))
        confusion[a][order[0]] += w
        ranks[order.index(a)] += w
        log_loss -= w * math.log(max(row[a], EPS))
        squared += w * (1.0 - row[a]) ** 2
    return confusion, ranks, log_loss, squared


def regression_sums(
    actual: Sequence[float], predicted: Sequence[float], weight: Sequence[float]
) -> tuple[float, float, float]:
    """Return the weighted sums of squared errors, of absolute errors and of squares about the mean. O(n)."""
    mean = math.fsum(a * w for a, w in zip(actual, weight, strict=True)) / math.fsum(weight)
    rows = list(zip(actual, predicted, weight, strict=True))
    return (
        math.fsum(w * (a - p) ** 2 for a, p, w in rows),
        math.fsum(w * abs(a - p) for a, p, w in rows),
        math.fsum(w * (a - mean) ** 2 for a, p, w in rows),
    )
