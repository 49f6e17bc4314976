"""Weights that others published: whose network they are, told from keys and shapes, and their keys in this kit's names.

State dict of a foreign file -> the form that it has (forms.Published: network, scale, key names), of families.py.
"""

from __future__ import annotations

import torch
from torch import Tensor

from youku.engines.families import FAMILIES, PUBLISHED
from youku.engines.forms import Published, State, renamed
from youku.models import span

__all__ = ["PUBLISHED", "Published", "State", "in_our_names", "near_miss", "recognise"]
MOST_FAULTS = 16  # that are said


def recognise(state: State) -> Published | None:
    """The form that a state dict has, all its keys and shapes; None for an unknown network."""
    return next((form for form in _likely(state) if not form.faults(state)), None)


def near_miss(state: State) -> str:
    """A phrase about the form that a state dict is nearest to, with what is wrong in its authors' names; or nothing."""
    found = min(((form.faults(state), form) for form in _likely(state)), key=lambda entry: len(entry[0]), default=None)
    if found is None:
        return ""
    wrong, form = found
    more = f" and {len(wrong) - MOST_FAULTS} more" if len(wrong) > MOST_FAULTS else ""
    return f"do not fit {form.model} of {form.source}: {'; '.join(wrong[:MOST_FAULTS])}{more}"


def in_our_names(form: Published, state: State, what: str) -> State:
    """The state dict under our keys, branches merged, the form's constants checked and gone.

    ValueError says which constant differs.
    """
    state = span.merge_state(state) if form.branched else state
    for key, expected in form.constants.items():
        if key in state and not torch.allclose(state[key].float().reshape(-1), expected.reshape(-1), atol=1e-2):
            raise ValueError(
                f"{what}: {key} is {_short(state[key])}, expected {_short(expected)}: "
                "the network was trained on another colour mean or range than this kit's; give other weights"
            )
    ours = {their: own for own, their in form.layers.items()}
    return {renamed(key, ours): value for key, value in state.items() if key not in form.constants}


def _likely(state: State) -> list[Published]:
    """The forms whose marks a state dict carries, at the sizes that its shapes have, where these make a network."""
    marked = (family for family in FAMILIES if all(mark in state for mark in family.marks))
    found = ((family, family.sizes(state)) for family in marked)
    return [family.form(*sizes) for family, sizes in found if all(size > 0 for size in sizes)]


def _short(values: Tensor) -> str:
    return "[" + ", ".join(f"{value:.2f}" for value in values.reshape(-1)[:3].tolist()) + "]"
