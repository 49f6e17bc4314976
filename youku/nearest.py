"""What a mistyped name may have meant.

A word and the names that there are -> the end of a sentence.
"""

from __future__ import annotations

from collections.abc import Iterable


def near(word: str, names: Iterable[str]) -> str:
    """The name that is nearest to a word, or that begins it or begins as it does; empty where none is near."""
    import difflib

    there, said = list(names), word[:100]
    cut = [name for name in there if min(len(name), len(said)) > 1 and (said.startswith(name) or name.startswith(said))]
    return next(iter(difflib.get_close_matches(said, there, n=1) or cut), "")


def expected(word: str, names: Iterable[str]) -> str:
    """The question whether the nearest was meant, or all that there are."""
    there = list(names)
    return f"did you mean {found}?" if (found := near(word, there)) else f"expected one of {', '.join(there)}"
