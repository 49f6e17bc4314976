"""Weights that others published: whose network they are, told from keys and shapes, and their keys in this kit's names.

State dict of a foreign file -> `Published` entry (network, scale, key names) of the table in forms.py.
"""

from __future__ import annotations

import torch
from torch import Tensor

from youku.engines.forms import PUBLISHED, Published, State, renamed
from youku.models import span

__all__ = ["PUBLISHED", "Published", "State", "in_our_names", "near_misses", "recognise"]


def recognise(state: State) -> Published | None:
    """The entry whose marks a state dict carries; None for an unknown network."""
    return next((form for form in PUBLISHED if _near(form, state) and not _misfits(form, state)), None)


def near_misses(state: State) -> list[str]:
    """Phrases for entries whose keys a state dict has, in other shapes."""
    return [f"{form.model} of {form.source} but {_misfits(form, state)[0]}" for form in PUBLISHED if _near(form, state)]


def in_our_names(form: Published, state: State, what: str) -> State:
    """The state dict under our keys (unknown keys keep theirs), branches merged, the form's constants checked and gone.

    ValueError says which constant differs, or lists what is wrong with the branches.
    """
    if form.branched:
        if wrong := span.faults(form.branched, state):
            raise ValueError(f"{what}: the weights do not fit {form.model} of {form.source}: {'; '.join(wrong)}")
        state = span.merge_state(state)
    for key, expected in form.constants.items():
        if key in state and not torch.allclose(state[key].float().reshape(-1), expected.reshape(-1), atol=1e-2):
            raise ValueError(
                f"{what}: {key} is {_short(state[key])}, expected {_short(expected)}: "
                "the network was trained on another colour mean or range than this kit's; give other weights"
            )
    ours = {their: own for own, their in form.layers.items()}
    return {renamed(key, ours): value for key, value in state.items() if key not in form.constants}


def _near(form: Published, state: State) -> bool:
    return all(key in state for key in form.marks)


def _misfits(form: Published, state: State) -> list[str]:
    return [
        f"{key} has shape {tuple(state[key].shape)}, expected ({', '.join(str(size or 'any') for size in shape)})"
        for key, shape in form.marks.items()
        if len(state[key].shape) != len(shape)
        or any(size not in (None, own) for size, own in zip(shape, state[key].shape, strict=True))
    ]


def _short(values: Tensor) -> str:
    return "[" + ", ".join(f"{value:.2f}" for value in values.reshape(-1)[:3].tolist()) + "]"
