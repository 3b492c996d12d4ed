"""Compiled kernels: one signature for read-only and writable arrays, nothing else accepted."""

from __future__ import annotations

import numpy as np
import pytest

from hydroscope.ground.jit import inlined, typed_kernel


@inlined
def _double(values, i):
    return 2 * values[i]


@typed_kernel("const i8[], i8, f8[]")
def doubled(values, extra, out):
    """Write twice the values."""
    for i in range(len(values)):
        out[i] = _double(values, i) + extra
    return len(values)


def test_read_only_and_writable_arrays_share_one_compilation():
    values, out = np.arange(4), np.zeros(4)
    frozen = values.copy()
    frozen.flags.writeable = False
    assert doubled(values, 1, out) == doubled(frozen, np.int32(1), out) == 4
    np.testing.assert_array_equal(out, [1, 3, 5, 7])
    assert len(doubled.compiled.signatures) == 1


@pytest.mark.parametrize("values", [np.arange(8)[::2], np.arange(4, dtype=np.int32), np.arange(4.0)])
def test_other_arrays_are_refused(values):
    with pytest.raises(TypeError, match="No matching definition"):
        doubled(values, 1, np.zeros(4))


def test_a_read_only_array_cannot_be_an_output():
    out = np.zeros(4)
    out.flags.writeable = False
    with pytest.raises(TypeError, match="No matching definition"):
        doubled(np.arange(4), 1, out)


def test_a_kernel_keeps_its_name_and_docstring():
    assert (doubled.__name__, doubled.__doc__) == ("doubled", "Write twice the values.")
