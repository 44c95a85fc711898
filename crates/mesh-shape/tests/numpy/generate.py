#!/usr/bin/env python3
"""Writes vectors.json: programs of slicing steps, and what NumPy makes of them.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install numpy==2.4.6
    /tmp/venv/bin/python crates/mesh-shape/tests/numpy/generate.py

Each program is [sizes, steps, shape, strides, offset, ranks]: the shape of the base, whose elements
are their own row-major indexes; the steps; and of the view that they leave, the shape, the strides in
elements (null where NumPy's mean nothing: along at most one position, or in an empty view), the first
element (null in an empty view), and every element in order.

A step is a letter and its arguments; a step that NumPy refuses ends in `!` and a letter that says why,
and leaves the view as it was:

    I 1:,...,-1    basic indexing                       !I out of bounds      !M too many indices
                                                        !E two ellipses       !Z a step of 0
    T 2,0,1        transpose(view, axes)
    F 1            flip(view, axis)
    Q              squeeze(view)
    M 1,2          reshape that makes 2 axes from 1 on one, copy=False         !C would need a copy
    S 1:2,3        reshape that splits axis 1                                  !S the sizes do not fit
    W 1,2,0/3      sliding_window_view of length 2 along axis 1: the first of 3 windows, the window in
                   the place of the axis                                       !W longer than the axis
"""

import json
import math
import random
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

SEED = 20_240_607
PROGRAMS = 8_000
SIZE_MAX = 72


def sizes(rng):
    while True:
        ndim = rng.choices(range(6), [2, 8, 20, 30, 25, 15])[0]
        shape = [rng.choices([0, 1, 2, 3, 4, 5, 7, 12], [1, 6, 14, 14, 12, 8, 3, 2])[0]
                 for _ in range(ndim)]
        if math.prod(shape) <= SIZE_MAX:
            return shape


def bound(rng, size):
    if rng.random() < 0.3:
        return None
    if rng.random() < 0.04:
        return rng.choice([2**63 - 1, -(2**63), 100, -100])
    return rng.randint(-size - 3, size + 3)


def one_index(rng, size):
    """One element of an index, as Python's object and as text."""
    if rng.random() < 0.22:
        inside = size > 0 and rng.random() < 0.93
        at = rng.randint(-size, size - 1) if inside else rng.choice([size, -size - 1, size + 2])
        return at, str(at)
    start, stop = bound(rng, size), bound(rng, size)
    step = rng.choices([None, 1, -1, 2, -2, 3, -3, 7, -7, 0, 2**63 - 1, -(2**63 - 1)],
                       [30, 8, 14, 14, 8, 6, 5, 2, 2, 0.7, 0.5, 0.5])[0]
    text = "".join(["" if start is None else str(start), ":", "" if stop is None else str(stop)])
    return slice(start, stop, step), text + ("" if step is None else f":{step}")


def index(rng, view):
    shape = list(view.shape)
    n = rng.randint(0, len(shape))
    if rng.random() < 0.03:
        n = len(shape) + 1
    n_before = rng.randint(0, n)
    has_rest = n == 0 or rng.random() < 0.4
    axes = list(range(n))
    if has_rest:
        axes = axes[:n_before] + list(range(len(shape) - n + n_before, len(shape)))
    parts = [one_index(rng, shape[axis] if 0 <= axis < len(shape) else 2) for axis in axes]
    if has_rest:
        parts.insert(n_before, (Ellipsis, "..."))
        if rng.random() < 0.02:
            parts.append((Ellipsis, "..."))
    text = "I " + ",".join(text for _, text in parts)
    taken = tuple(part for part, _ in parts)
    # With an ellipsis NumPy answers with a view where it would with a number.
    return text, lambda: view[taken if has_rest else (*taken, ...)]


def transpose(rng, view):
    axes = list(range(view.ndim))
    rng.shuffle(axes)
    return "T " + ",".join(map(str, axes)), lambda: np.transpose(view, axes)


def flip(rng, view):
    axis = rng.randrange(view.ndim)
    return f"F {axis}", lambda: np.flip(view, axis)


def squeeze(_, view):
    return "Q", lambda: np.squeeze(view)


def merge(rng, view):
    first = rng.randrange(view.ndim)
    n = rng.randint(1, min(3, view.ndim - first))
    shape = list(view.shape)
    shape[first:first + n] = [math.prod(shape[first:first + n])]
    return f"M {first},{n}", lambda: np.reshape(view, shape, copy=False)


def split(rng, view):
    axis = rng.randrange(view.ndim)
    size = view.shape[axis]
    outer = [n for n in range(1, size + 1) if size % n == 0]
    first = rng.choice(outer) if outer else rng.randint(0, 3)
    into = [first, size // first if first else rng.randint(0, 2)]
    if rng.random() < 0.2:
        into.insert(rng.randint(0, 2), 1)
    if rng.random() < 0.05:
        into[0] += 1
    shape = list(view.shape)
    shape[axis:axis + 1] = into
    fits = math.prod(into) == size

    def run():
        if not fits:
            raise ValueError("cannot reshape one axis")
        return np.reshape(view, shape, copy=False)

    return f"S {axis}:" + ",".join(map(str, into)), run


def window(rng, view):
    axis = rng.randrange(view.ndim)
    size = view.shape[axis]
    length = rng.randint(1, max(1, size + (rng.random() < 0.1)))
    count = max(0, size + 1 - length)
    at = rng.randrange(count) if count else 0

    def run():
        windows = sliding_window_view(view, length, axis)
        assert windows.shape[axis] == count
        one = windows[(slice(None),) * axis + (at,)]
        return np.moveaxis(one, -1, axis)

    return f"W {axis},{length},{at}/{count}", run


REFUSALS = [
    ("out of bounds", "I"), ("too many indices", "M"), ("single ellipsis", "E"),
    ("slice step cannot be zero", "Z"), ("avoid creating a copy", "C"), ("cannot reshape", "S"),
    ("window shape cannot be larger", "W"),
]


def attempt(text, run):
    """The step as it is written, and the view, or None where NumPy refuses."""
    try:
        return text, run()
    except (IndexError, ValueError) as error:
        letters = [letter for words, letter in REFUSALS if words in str(error)]
        if not letters:
            raise
        return f"{text}!{letters[0]}", None


def program(rng):
    shape = sizes(rng)
    base = np.arange(math.prod(shape), dtype=np.int64).reshape(shape)
    start = base.__array_interface__["data"][0]
    view, steps = base, []
    keeps_empty = rng.random() < 0.1
    n_steps = rng.randint(1, 6)
    while len(steps) < n_steps:
        kinds, weights = [index, squeeze], [10, 1]
        if view.ndim:
            kinds += [transpose, flip, merge, split, window]
            weights += [4, 3, 5, 4, 2]
        text, after = attempt(*rng.choices(kinds, weights)[0](rng, view))
        if after is None:
            steps.append(text)
        elif after.ndim <= 7 and (after.size or keeps_empty or not view.size):
            steps.append(text)
            view = after
    size = view.itemsize
    where = (view.__array_interface__["data"][0] - start) // size if view.size else None
    strides = [stride // size if view.size and n > 1 else None
               for stride, n in zip(view.strides, view.shape)]
    assert all(view.ravel()[:1] == where) or not view.size
    return [shape, ";".join(steps), list(view.shape), strides, where, view.ravel().tolist()]


def main():
    rng = random.Random(SEED)
    programs = [program(rng) for _ in range(PROGRAMS)]
    lines = ",\n".join(json.dumps(each, separators=(",", ":")) for each in programs)
    head = f'{{"numpy":"{np.__version__}","seed":{SEED},"programs":[\n'
    Path(__file__).with_name("vectors.json").write_text(f"{head}{lines}\n]}}\n")


main()
