"""A soup: the mean of checkpoints of one network, kept only where the validation of a run rises.

Runs or weights files of one form -> one set of weights. Greedy, from the best down: a checkpoint stays in the mean where
the mean with it validates better. Source: Wortsman et al. 2022, "Model soups", arXiv:2203.05482. Validated as the run
itself was: its pairs, its frames, its metric.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from youku.engines import torch_engine, weights
from youku.training import run, validation
from youku.training.config import TrainConfig
from youku.training.progress import Say
from youku.training.validation import Validation

MUST_AGREE = ("model", "scale", "input_mean", "input_std", "input_range", "edges")  # of their metadata

Checkpoint = tuple[dict[str, Tensor], dict[str, str]]
"""Weights, and their metadata."""


@dataclass(frozen=True)
class Soup:
    """A mean of checkpoints: where they are from, its weights and metadata, and how it validates."""

    taken: tuple[Path, ...]
    state: dict[str, Tensor]
    about: dict[str, str]
    validation: Validation


def checkpoints(places: Sequence[Path]) -> list[Path]:
    """The weights of several runs or files, each run's best; of one run alone all that its folder keeps."""
    if len(places) > 1 or not places[0].is_dir():
        found = [weights.find(place) for place in places]
    else:
        found = sorted(path for path in places[0].glob("*.safetensors") if path.name != "soup.safetensors")
    if len(found) < 2:
        raise ValueError(f"{places[0]}: expected two or more checkpoints; name more runs, or train with --keep-every")
    if len({path.resolve() for path in found}) < len(found):
        raise ValueError("expected different checkpoints, one is named twice; name each once")
    return found


def cook(found: Sequence[Path], config: TrainConfig, say: Say) -> tuple[Soup, Soup]:
    """(the best single checkpoint, the soup that began with it); ValueError for checkpoints that are not of one form."""
    singles = [_alone(path) for path in found]
    for path, single in zip(found[1:], singles[1:], strict=True):
        _require_alike(found[0], singles[0], path, single)
    pairs = [pair for pair in run.load_pairs(config)[1] if str(pair.scale) == singles[0][1]["scale"]]
    if not pairs:
        raise ValueError(
            f"{found[0]}: is for x{singles[0][1]['scale']}, and the run that validates is not; give --val-run"
        )

    network = weights.load(found[0], None, None, torch_engine.pick_device(config.device))

    def taste(taken: Sequence[Path], state: dict[str, Tensor], about: dict[str, str]) -> Soup:
        network.module.load_state_dict(state)
        try:
            measured = validation.validate(network, pairs, config.val_frames, config.val_metric == "score")
        except ValueError as error:
            raise ValueError(f"{taken[-1]}: {error}") from None
        soup = Soup(tuple(taken), state, about, measured)
        say(f"{' + '.join(map(str, taken))}: {soup.validation}")
        return soup

    def rank(soup: Soup) -> float:
        return soup.validation.score if config.val_metric == "score" else soup.validation.psnr

    ranked = sorted((taste([path], *single) for path, single in zip(found, singles, strict=True)), key=rank)[::-1]
    best = ranked[0]
    for other in ranked[1:]:
        number = len(best.taken)
        mixed = {key: _mixed(best.state[key], other.state[key], number) for key in best.state}
        best = max(best, taste([*best.taken, *other.taken], mixed, best.about), key=rank)  # of two alike the smaller
    return ranked[0], best


def write(soup: Soup, path: Path) -> None:
    """The weights, with what they were made of."""
    own = {key: value for key, value in soup.about.items() if key not in ("model", "scale")}
    own |= {"soup": ", ".join(map(str, soup.taken)), "validation": str(soup.validation)}
    weights.save(path, soup.state, soup.about["model"], int(soup.about["scale"]), own)


def _alone(path: Path) -> Checkpoint:
    state, about = weights.read_known(path)
    if not {"model", "scale"} <= about.keys():
        raise ValueError(f"{path}: does not say which network it is; a soup takes weights that name theirs")
    return state, about


def _require_alike(first: Path, one: Checkpoint, path: Path, other: Checkpoint) -> None:
    shapes = [{key: part.shape for key, part in state.items()} for state, _ in (one, other)]
    unlike = [name for name in MUST_AGREE if one[1].get(name) != other[1].get(name)]
    if unlike or shapes[0] != shapes[1]:
        told = " and ".join(
            f"{where} ({about.get('model')} x{about.get('scale')})"
            for where, (_, about) in ((first, one), (path, other))
        )
        wrong = ", ".join(unlike or ["layers"])
        raise ValueError(f"{told} differ in {wrong}; a soup needs checkpoints of one network")


def _mixed(mean: Tensor, other: Tensor, number: int) -> Tensor:
    """The mean of `number` checkpoints, with one more; counters stay as they are."""
    return mean.lerp(other.to(mean.dtype), 1 / (number + 1)) if mean.is_floating_point() else mean
