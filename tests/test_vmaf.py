"""metrics.vmaf: the four traps of the filter, and what every result names."""

from __future__ import annotations

import numpy as np
import pytest

from youku.metrics import vmaf
from youku.video import ffmpeg
from youku.video.y4m import Planes, make_header

HEADER = make_header(160, 96)
NUM_FRAMES = 12

pytestmark = pytest.mark.skipif(not ffmpeg.has_libvmaf(), reason="this ffmpeg has no libvmaf")


def sharp_frames(num_frames: int = NUM_FRAMES) -> list[Planes]:
    """Texture that moves by a pixel a frame, no two frames alike."""
    rng = np.random.default_rng(0)
    coarse = np.kron(rng.integers(20, 200, (24, 50), dtype=np.uint8), np.ones((4, 4), np.uint8))
    picture = coarse + rng.integers(0, 30, coarse.shape, dtype=np.uint8)
    chroma = np.full((48, 80), 128, np.uint8)
    return [(np.ascontiguousarray(picture[:, i : i + 160]), chroma, chroma) for i in range(num_frames)]


def blurred(frames: list[Planes]) -> list[Planes]:
    """Each frame averaged over 5x5 pixels."""
    out = []
    for luma, *chroma in frames:
        wide = np.lib.stride_tricks.sliding_window_view(np.pad(luma, 2, "edge"), (5, 5))
        out.append((wide.mean(axis=(2, 3)).astype(np.uint8), *chroma))
    return out


@pytest.fixture(scope="module")
def right() -> vmaf.VmafResult:
    return vmaf.measure(blurred(sharp_frames()), sharp_frames(), HEADER, threads=1)


def test_the_first_input_is_the_distorted_one(right: vmaf.VmafResult) -> None:
    """Swapped inputs give another, higher value: blurring costs points only in the right order."""
    swapped = vmaf.measure(sharp_frames(), blurred(sharp_frames()), HEADER, threads=1)
    assert vmaf.pool(right.vmaf) < 90
    assert vmaf.pool(swapped.vmaf) > vmaf.pool(right.vmaf) + 5


def test_frame_rates_in_headers_do_not_matter(right: vmaf.VmafResult) -> None:
    """24 against 25 fps: frames are paired by number, not by time."""
    headers = (make_header(160, 96, fps=24), make_header(160, 96, fps=25))
    with vmaf.Meter(*headers, threads=1) as meter:
        for pred, high in zip(blurred(sharp_frames()), sharp_frames(), strict=True):
            meter.add(pred, high)
        assert meter.result().vmaf == right.vmaf


@pytest.mark.parametrize(("num_pred", "num_high"), [(12, 6), (6, 12)])
def test_streams_of_unequal_length_are_refused(num_pred: int, num_high: int) -> None:
    """No number when either side ends early: refused by count before libvmaf repeats the last frame."""
    with pytest.raises(ValueError, match="ends after 6 frames"):
        vmaf.measure(sharp_frames(num_pred), sharp_frames(num_high), HEADER, threads=1)


def test_sampled_frames_are_measured_as_files_of_their_own(right: vmaf.VmafResult) -> None:
    """Every 4th frame as a clip is not every 4th value of the whole clip: motion is between the frames shipped."""
    sampled = vmaf.measure(blurred(sharp_frames())[::4], sharp_frames()[::4], HEADER, threads=1)
    assert len(sampled.vmaf) == 3
    assert sampled.vmaf != right.vmaf[::4]


def test_an_identical_clip_is_close_to_100() -> None:
    """The model's answer to a perfect copy: 97 or more."""
    result = vmaf.measure(sharp_frames(), sharp_frames(), HEADER, threads=1)
    assert vmaf.pool(result.vmaf) >= 97


def test_names_its_makers_and_measures_neg_in_the_same_run(right: vmaf.VmafResult) -> None:
    """Model, NEG model, libvmaf and ffmpeg versions; one value a frame for both models."""
    assert (right.model, right.neg_model) == ("vmaf_v0.6.1", "vmaf_v0.6.1neg")
    assert right.version
    assert right.ffmpeg == ffmpeg.version()
    assert len(right.vmaf) == len(right.neg) == NUM_FRAMES
    assert right.neg != right.vmaf


@pytest.mark.parametrize("model", sorted(vmaf.MODELS))
def test_every_model_is_in_the_binary(model: str) -> None:
    """Each model of the table, and its NEG companion, measures."""
    result = vmaf.measure(blurred(sharp_frames(2)), sharp_frames(2), HEADER, model, threads=1)
    assert len(result.vmaf) == len(result.neg) == 2


def test_ten_bit_clips_are_measured() -> None:
    """4:2:0 at 10 bit gives nearly the 8-bit value."""
    header = make_header(160, 96, chroma="420p10")
    deep = [
        [tuple(p.astype("<u2") * 4 for p in f) for f in frames] for frames in (blurred(sharp_frames()), sharp_frames())
    ]
    eight = vmaf.measure(blurred(sharp_frames()), sharp_frames(), HEADER, threads=1)
    assert vmaf.pool(vmaf.measure(deep[0], deep[1], header, threads=1).vmaf) == pytest.approx(
        vmaf.pool(eight.vmaf), abs=1
    )


def test_unequal_sizes_mono_and_unknown_models_are_refused() -> None:
    """Each is one sentence, before ffmpeg runs."""
    with pytest.raises(ValueError, match=r"160x96 .*and 80x48"):
        vmaf.Meter(HEADER, make_header(80, 48))
    with pytest.raises(ValueError, match="mono"):
        vmaf.Meter(make_header(160, 96, chroma="mono"), make_header(160, 96, chroma="mono"))
    with pytest.raises(ValueError, match=r"expected one of vmaf_v0\.6\.1"):
        vmaf.measure([], [], HEADER, "vmaf_v9")


@pytest.mark.parametrize(("width", "height"), [(16, 96), (160, 16), (8, 8), (2, 2)])
def test_pictures_too_small_are_one_sentence(width: int, height: int) -> None:
    """A side of 16 pixels or less is refused before ffmpeg runs, which would end without a word; 17 is measured."""
    header = make_header(width, height)
    assert f"got {width}x{height}" in vmaf.lacks(header)
    with pytest.raises(ValueError, match="no picture under 17x17"):
        vmaf.Meter(header, header)
    tiny = make_header(17, 17)
    frames = [tuple(np.full(shape, 90, np.uint8) for shape in tiny.plane_shapes)]
    assert vmaf.lacks(tiny) == "" and vmaf.measure(frames, frames, tiny, threads=1).vmaf[0] > 90


def test_a_binary_without_libvmaf_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence says which binary, and what to do."""
    monkeypatch.setattr(ffmpeg, "has_libvmaf", lambda: False)
    with pytest.raises(ffmpeg.FFmpegError, match="has no libvmaf; unset IMAGEIO_FFMPEG_EXE"):
        vmaf.Meter(HEADER, HEADER)


def test_no_frames_are_refused() -> None:
    """Two empty clips give an error, not an empty mean."""
    with pytest.raises(ValueError, match="no frames"):
        vmaf.measure([], [], HEADER, threads=1)


def test_a_frame_of_another_size_is_named() -> None:
    """A wrong frame in the middle stops the run with its number."""
    frames = sharp_frames(3)
    with pytest.raises(ValueError, match="frame 1: expected planes"):
        vmaf.measure([frames[0], frames[1][:1], frames[2]], frames, HEADER, threads=1)


def test_pools() -> None:
    """Mean, and libvmaf's harmonic mean n / sum(1 / (v + 1)) - 1."""
    assert vmaf.pool([0.0, 99.0]) == 49.5
    assert vmaf.pool([0.0, 99.0], "harmonic") == pytest.approx(2 / (1 + 1 / 100) - 1)
    with pytest.raises(ValueError, match="mean, harmonic"):
        vmaf.pool([1.0], "median")
