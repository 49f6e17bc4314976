"""Weights that others published: whose network they are, told from keys and shapes.

State dict of a foreign file -> the form that it has (forms.Published). One with a family's marks has the sizes that the
family reads off its shapes; so a network of another width or depth than the table's is built as it is.
"""

from __future__ import annotations

from youku.engines.families_light import LIGHT
from youku.engines.families_residual import RESIDUAL
from youku.engines.forms import Family, Published, State
from youku.files import printable
from youku.text_table import listed

FAMILIES: tuple[Family, ...] = (*LIGHT, *RESIDUAL)
PUBLISHED = tuple(family.form(*sizes) for family in FAMILIES for sizes in family.usual)
"""The forms of the table's own networks."""
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
    told = listed([*map(printable, wrong)], MOST_FAULTS, "; ")  # a key may hold anything
    return f"do not fit {form.model} of {form.source}: {told}"


def _likely(state: State) -> list[Published]:
    """The forms whose marks a state dict carries, at the sizes that its shapes have, where these make a network."""
    marked = (family for family in FAMILIES if all(mark in state for mark in family.marks))
    found = ((family, [size(state) for size in family.sizes]) for family in marked)
    return [family.form(*sizes) for family, sizes in found if all(size > 0 for size in sizes)]
