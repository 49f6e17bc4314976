"""The step on a GPU as one CUDA graph, launched at once: forward, loss, backward, clipping, optimiser.

Launched one by one, the kernels of a small network take longer to send than to run. The first steps of a stage run as
anywhere (`step.train_step`) and warm up; then one is captured, and each batch is copied into what it reads. Nothing waits
for the GPU: a loss is read AHEAD steps later, and all are before anything is logged, saved or validated (`drain`). So a
loss not finite stops a run a few steps late and nothing of it is ever saved. What cannot be captured runs step by step: an
adversary, several batches or processes a step, fp16 (its scale), --clip-element (a bound that follows the rate).
Source: pytorch.org/docs/stable/notes/cuda.html, CUDA Graphs, whole-network capture.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor

from youku.engines.cuda_graph import capturing
from youku.training.adversary import NoAdversary
from youku.training.batch import Batch
from youku.training.config import TrainConfig
from youku.training.progress import Say
from youku.training.state import RunState, check_finite
from youku.training.step import Stage, Steps, content_loss, memory_advice, set_rate, train_step, update_average

WARM_UP = 3  # steps of one form before it is captured
AHEAD = 8  # steps that may be under way before the loss of the first is read
TUNED = True  # whether cuDNN tries its kernels first and keeps the fastest; they may sum in another order next time


class CapturedSteps(Steps):
    """Steps of one form as a CUDA graph, captured anew when the stage or the form of the batches changes."""

    def __init__(self, state: RunState, config: TrainConfig, say: Say) -> None:
        super().__init__(state, config)
        self._say = say
        self._graph: torch.cuda.CUDAGraph | None = None
        self._is_refused = False
        self._form: object = None
        self._num_seen = 0  # steps of that form in a row
        self._stream = torch.cuda.Stream(state.device)
        self._losses = torch.empty(AHEAD + 1).pin_memory().unbind()
        self._done = [torch.cuda.Event() for _ in self._losses]  # one for each
        self._under_way: deque[tuple[int, tuple[str, ...]]] = deque()

    @memory_advice()
    def take(self, stage: Stage, drawn: Sequence[Batch]) -> list[float]:
        batch = drawn[-1]
        form = (stage, *form_of(batch))
        if form != self._form:
            self._form, self._num_seen, self._graph = form, 0, None
        self._num_seen += 1
        if self._graph is None:
            can_capture = not self._is_refused and isinstance(stage.adversary, NoAdversary)
            with _tuned():
                if can_capture and self._num_seen > WARM_UP:
                    self._capture(stage, batch)
                if self._graph is None:
                    return [*self.drain(), self._eagerly(stage, drawn)]
        torch._foreach_copy_(self._inputs, batch.tensors)
        set_rate(self.state, self.config)
        self._graph.replay()
        self._note(batch.names)
        update_average(self.state, self.config.ema)
        self.state.step += 1
        return self._read(AHEAD)

    def drain(self) -> list[float]:
        return self._read(0)

    def _eagerly(self, stage: Stage, drawn: Sequence[Batch]) -> float:
        """A step on the stream of the capture, as a warm-up has to be."""
        current = torch.cuda.current_stream(self.state.device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            loss = train_step(self.state, self.config, stage, drawn)
        current.wait_stream(self._stream)
        return loss

    def _capture(self, stage: Stage, batch: Batch) -> None:
        """Record a step that reads a copy of `batch`; nothing runs yet."""
        state = self.state
        self._inputs = [part.clone() for part in batch.tensors]
        batch = with_tensors(batch, self._inputs)
        state.optimizer.zero_grad(set_to_none=True)  # the gradients get their place in the graph's memory
        try:  # threads go on making batches meanwhile
            with capturing(self._stream) as graph:
                self._loss = self._run(stage, batch)
        except RuntimeError as error:
            self._is_refused = True
            state.optimizer.zero_grad(set_to_none=True)
            reason = str(error).splitlines()[0]
            self._say(
                f"{self.config.model}: its step cannot be captured as a CUDA graph ({reason}); step by step it is slower"
            )
            return
        self._graph = graph

    def _run(self, stage: Stage, batch: Batch) -> Tensor:
        """What is captured: from a batch to its loss and new weights."""
        state, config = self.state, self.config
        with state.precision.autocast():
            pred = state.forward(batch.low, batch.scale, batch.num_moments)
            loss = content_loss(stage, config, batch, pred)
        state.precision.backward(loss, state.optimizer)
        state.precision.step(state.module, state.optimizer, config.clip_norm, 0.0)
        return loss.detach()

    def _note(self, names: tuple[str, ...]) -> None:
        """Have the loss copied to where `_read` finds it, once the step is done."""
        place = self.state.step % len(self._losses)
        self._losses[place].copy_(self._loss, non_blocking=True)
        self._done[place].record(torch.cuda.current_stream(self.state.device))
        self._under_way.append((self.state.step, names))

    def _read(self, num_left: int) -> list[float]:
        found = []
        while len(self._under_way) > num_left:
            step, names = self._under_way.popleft()
            self._done[step % len(self._done)].synchronize()
            found.append(float(self._losses[step % len(self._losses)]))
            check_finite(found[-1], step, names)
        return found


def form_of(batch: Batch) -> tuple[object, ...]:
    """What a captured step takes as given: sizes, what there is, and how many moments."""
    parts = tuple(tuple(part.shape) for part in batch.tensors)
    return parts, batch.scale, batch.num_moments, batch.taught is None


def with_tensors(batch: Batch, parts: Sequence[Tensor]) -> Batch:
    """The same batch with other tensors in the place of `batch.tensors`."""
    others = iter(parts)
    low, high, exact = (tuple(itertools.islice(others, len(group))) for group in (batch.low, batch.high, batch.exact))
    return replace(batch, low=low, high=high, exact=exact, taught=next(others, None))


@contextmanager
def _tuned() -> Iterator[None]:
    before, torch.backends.cudnn.benchmark = torch.backends.cudnn.benchmark, TUNED
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before
