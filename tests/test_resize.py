"""resize and interpolate: MATLAB's pictures bit for bit, other implementations, and chroma at its siting."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import interpolate as interpolate_scipy

from youku.metrics import psnr
from youku.video import color, interpolate, resize, y4m

DATA = Path(__file__).parents[2] / "shared/data"
SET5 = DATA / "bench/Set5"
NAMES = ("baby", "bird", "butterfly", "head", "woman")
needs_set5 = pytest.mark.skipif(not SET5.is_dir(), reason="needs shared/data/bench/Set5")
needs_vid4 = pytest.mark.skipif(not (DATA / "vid4").is_dir(), reason="needs shared/data/vid4")


def read(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


def high_of(name: str, scale: int) -> np.ndarray:
    high = read(SET5 / "HR" / f"{name}.png")
    return high[: high.shape[0] // scale * scale, : high.shape[1] // scale * scale]


@needs_set5
@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_set5_low_resolution_is_matlabs_bit_for_bit(scale: int) -> None:
    """imresize of Set5 equals MATLAB's pictures on every pixel; the X8 set was made with repeated edges."""
    edge = "replicate" if scale == 8 else "symmetric"
    for name in NAMES:
        high = high_of(name, scale)
        low = resize.imresize(high, high.shape[0] // scale, high.shape[1] // scale, edge=edge)
        assert np.array_equal(low, read(SET5 / f"LR_bicubic/X{scale}/{name}x{scale}.png")), name


@needs_vid4
def test_vid4_bicubic_is_float_with_one_rounding() -> None:
    """calendar_LRx4_BI is the float bicubic rounded once, on every pixel."""
    high = np.moveaxis(read(DATA / "vid4/calendar_GT/Frame001.png").astype(np.float64), -1, 0)
    low = resize.to_integers(resize.resize(high, high.shape[1] // 4, high.shape[2] // 4))
    expected = read(sorted((DATA / "vid4/calendar_LRx4_BI").iterdir())[0])
    assert np.array_equal(np.moveaxis(low, 0, -1), expected)


@needs_set5
@pytest.mark.parametrize(("scale", "expected_db"), [(2, 33.67), (3, 30.40), (4, 28.43)])
def test_set5_bicubic_psnr(scale: int, expected_db: float) -> None:
    """Bicubic of the LR's float Y, enlarged in float and rounded at the end, scores the published averages.

    Without the last rounding it is 33.683 / 30.405 / 28.431.
    """
    scores = []
    for name in NAMES:
        truth = color.luma_of_picture(high_of(name, scale))
        low = color.luma_of_picture(read(SET5 / f"LR_bicubic/X{scale}/{name}x{scale}.png"))
        pred = resize.to_integers(resize.resize(low, *truth.shape))
        inside = (slice(scale, -scale), slice(scale, -scale))
        scores.append(psnr.pictures(pred[inside], truth[inside]))
    assert np.mean(scores) == pytest.approx(expected_db, abs=0.005)


@pytest.mark.parametrize("kernel", resize.KERNELS)
@pytest.mark.parametrize("edge", resize.EDGES)
def test_numpy_equals_torch(kernel: str, edge: str) -> None:
    """Both libraries give the same float64 result, up and down, at odd sizes."""
    image = np.random.default_rng(0).random((2, 19, 31))
    for height, width in ((57, 93), (7, 11), (19, 40)):
        by_numpy = resize.resize(image, height, width, kernel, edge)
        by_torch = resize.resize(torch.from_numpy(image), height, width, kernel, edge).numpy()
        np.testing.assert_allclose(by_torch, by_numpy, atol=1e-12)


@pytest.mark.parametrize("kernel", resize.KERNELS)
@pytest.mark.parametrize("size", [(40, 60), (5, 7), (13, 9), (1, 1)])
def test_constant_stays_constant(kernel: str, size: tuple[int, int]) -> None:
    """Weights sum to one whatever the sizes."""
    np.testing.assert_allclose(resize.resize(np.full((10, 14), 77.0), *size, kernel), 77.0, atol=1e-10)


@pytest.mark.parametrize(
    ("kernel", "method"),
    [("bicubic", "BICUBIC"), ("bilinear", "BILINEAR"), ("lanczos", "LANCZOS")],
)
@pytest.mark.parametrize("size", [(15, 20), (30, 41), (120, 160), (77, 53)])
def test_agrees_with_pillow(kernel: str, method: str, size: tuple[int, int]) -> None:
    """Pillow has the same kernels: within one code value away from the edges, which it cuts off instead of folding."""
    smooth = np.cumsum(np.cumsum(np.random.default_rng(1).normal(0, 1, (60, 80)), 0), 1)
    image = ((smooth - smooth.min()) / np.ptp(smooth) * 255).astype(np.uint8)
    ours = resize.to_integers(resize.resize(image.astype(np.float64), *size, kernel)).astype(int)
    theirs = np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling[method])).astype(int)
    margin_y, margin_x = -(-size[0] * 4 // 60) + 3, -(-size[1] * 4 // 80) + 3
    assert np.abs(ours - theirs)[margin_y:-margin_y, margin_x:-margin_x].max() <= 1


def kernel_at(kernel: str) -> tuple[np.ndarray, np.ndarray]:
    """(x, value): a kernel sampled where an enlargement by 16 uses it."""
    index, weight = resize.weights(40, 640, kernel, "replicate")
    rows = np.arange(320, 336)
    x = (rows[:, None] + 0.5) / 16 - 0.5 - index[rows]
    order = np.argsort(x.ravel())
    return x.ravel()[order], weight[rows].ravel()[order]


def test_bell_is_the_quadratic_b_spline() -> None:
    """Bell equals SciPy's B-spline of degree 2."""
    x, value = kernel_at("bell")
    spline = interpolate_scipy.BSpline.basis_element([-1.5, -0.5, 0.5, 1.5], extrapolate=False)
    np.testing.assert_allclose(value, np.nan_to_num(spline(x)), atol=1e-12)


def test_mitchell_is_a_third_b_spline_and_two_thirds_keys() -> None:
    """Kernels of the (B, C) family mix linearly: (1/3, 1/3) = 1/3 of the cubic B-spline (1, 0) + 2/3 of Keys (0, 1/2)."""
    x, value = kernel_at("mitchell")
    spline = interpolate_scipy.BSpline.basis_element([-2, -1, 0, 1, 2], extrapolate=False)
    keys = np.interp(x, *kernel_at("bicubic"))
    np.testing.assert_allclose(value, np.nan_to_num(spline(x)) / 3 + keys * 2 / 3, atol=1e-12)


def test_hermite_is_smoothstep_between_neighbours() -> None:
    """Enlarging by Hermite goes from sample to sample along 3 t^2 - 2 t^3."""
    line = np.random.default_rng(4).random((1, 12))
    place = (np.arange(16, 80) + 0.5) / 8 - 0.5
    left, t = np.floor(place).astype(int), place % 1
    wanted = line[0, left] + (line[0, left + 1] - line[0, left]) * (3 - 2 * t) * t * t
    np.testing.assert_allclose(resize.resize(line, 1, 96, "hermite")[0, 16:80], wanted, atol=1e-12)


def test_imresize_refuses_float() -> None:
    """imresize rounds to uint8 between passes, so a float picture is a mistake."""
    with pytest.raises(ValueError, match="expects a uint8 picture"):
        resize.imresize(np.zeros((4, 4)), 2, 2)


def test_unknown_kernel_is_named() -> None:
    """A kernel that does not exist is refused with the list."""
    with pytest.raises(ValueError, match="expected one of"):
        resize.resize(np.zeros((4, 4)), 2, 2, "cubic")


@pytest.mark.parametrize("kernel", ["bicubic", "bilinear", "lanczos"])
def test_left_sited_ramp_lands_at_three_quarters(kernel: str) -> None:
    """A left-sited chroma ramp enlarged 4 times has the value of column c at column 4c + 0.75."""
    ramp = np.tile(np.arange(32.0), (8, 1))
    _, shift_x = color.chroma_shift((2, 2, "left"), 4)
    big = resize.resize(ramp, 32, 128, kernel, "replicate", 0.0, shift_x)
    columns = np.arange(40, 80)
    np.testing.assert_allclose(big[16, columns], (columns - 0.75) / 4, atol=0.03 if kernel == "lanczos" else 1e-9)


@pytest.mark.parametrize(
    ("siting", "expected"), [("center", (0, 0)), ("left", (0, 3 / 16)), ("topleft", (3 / 16,) * 2)]
)
def test_chroma_shift_of_each_siting(siting: str, expected: tuple[float, float]) -> None:
    """Only co-sited axes move, by (s - 1) / (4 s)."""
    assert color.chroma_shift((2, 2, siting), 4) == pytest.approx(expected)


def planes_of(header: y4m.Header, value: int | None = None) -> y4m.Planes:
    """A constant frame, or a smooth one."""
    out = []
    for height, width in header.plane_shapes:
        y, x = np.mgrid[0:height, 0:width]
        plane = 128 + 50 * np.sin(x / 9) + 40 * np.cos(y / 7) if value is None else np.full((height, width), value)
        out.append((np.round(plane) * (1 << (header.depth - 8))).astype(header.dtype))
    return tuple(out)


@pytest.mark.parametrize("chroma", ["420mpeg2", "420jpeg", "420paldv", "422", "444", "mono", "420p10"])
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_upscale_and_downscale_keep_a_constant(chroma: str, scale: int) -> None:
    """A flat frame stays flat in every layout, at odd sizes, both ways."""
    header = y4m.make_header(15, 9, chroma=chroma)
    flat = planes_of(header, 100)
    big_header = interpolate.scaled_header(header, scale)
    big = interpolate.upscale(flat, header, scale)
    assert tuple(plane.shape for plane in big) == big_header.plane_shapes
    small = interpolate.downscale(big, big_header, scale)
    level = 100 << (header.depth - 8)
    assert all((plane == level).all() and plane.dtype == header.dtype for plane in (*big, *small))


@pytest.mark.parametrize("chroma", ["420mpeg2", "420jpeg", "420paldv", "422", "444"])
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_downscale_undoes_upscale(chroma: str, scale: int) -> None:
    """A smooth frame comes back within two code values away from the edges: the two phases agree."""
    header = y4m.make_header(47, 33, chroma=chroma)
    frame = planes_of(header)
    big = interpolate.upscale(frame, header, scale)
    back = interpolate.downscale(big, interpolate.scaled_header(header, scale), scale)
    for plane, other in zip(frame, back, strict=True):
        assert np.abs(plane.astype(int) - other.astype(int))[2:-2, 2:-2].max() <= 2


def test_upscale_agrees_with_resize() -> None:
    """The convolution that enlarges frames equals the gathered weights of `resize`, plane by plane."""
    header = y4m.make_header(22, 14)
    frame = tuple(np.random.default_rng(3).integers(0, 256, shape).astype(np.uint8) for shape in header.plane_shapes)
    shifts = [(0.0, 0.0), color.chroma_shift((2, 2, "left"), 4), color.chroma_shift((2, 2, "left"), 4)]
    turned = tuple(plane.T.copy().T for plane in frame)  # as a picture that stands upright lies in memory
    assert all(map(np.array_equal, interpolate.upscale(turned, header, 4), interpolate.upscale(frame, header, 4)))
    for plane, big, shift in zip(frame, interpolate.upscale(frame, header, 4), shifts, strict=True):
        wanted = resize.resize(plane.astype(np.float64), *big.shape, "bicubic", "replicate", *shift, 4.0)
        assert np.abs(big - np.clip(wanted, 0, 255)).max() <= 0.501


@pytest.fixture(params=["compiled", "torch"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With the compiled kernels, and as where no C compiler was at hand."""
    if request.param == "torch":
        monkeypatch.setattr(resize, "compiled", None)
    elif resize.compiled is None:
        pytest.skip("the kernels are not compiled here; `make setup` does, given a C compiler")
    return str(request.param)


def test_downscale_refuses_what_does_not_divide() -> None:
    """A size that is not a multiple of the factor is named."""
    header = y4m.make_header(15, 9)
    with pytest.raises(ValueError, match="expected multiples of 4"):
        interpolate.downscale(planes_of(header), header, 4)


@pytest.mark.parametrize("chroma", ["420mpeg2", "420paldv", "444", "mono10"])
@pytest.mark.parametrize("size", [(1, 1), (7, 5), (33, 9), (16, 70)])
@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("kernel", ["bicubic", "lanczos", "nearest"])
def test_planes_equal_float64_but_for_halves(
    way: str, chroma: str, size: tuple[int, int], scale: int, kernel: str
) -> None:
    """Enlarging and shrinking, at every edge and size, by the compiled kernels and without them."""
    header, rng = y4m.make_header(*size, chroma=chroma), np.random.default_rng(0)
    large = interpolate.scaled_header(header, scale)
    for source, target, act, factor in (
        (header, large, interpolate.upscale, float(scale)),
        (large, header, interpolate.downscale, 1 / scale),
    ):
        planes = [rng.integers(0, 1 << source.depth, shape).astype(source.dtype) for shape in source.plane_shapes]
        shift = color.chroma_shift(header.layout, factor)
        made = act(tuple(planes), source, scale, kernel)
        assert tuple(plane.shape for plane in made) == target.plane_shapes
        for index, (plane, out) in enumerate(zip(planes, made, strict=True)):
            rows, columns = (
                resize.weights(plane.shape[axis], out.shape[axis], kernel, "replicate", index and shift[axis], factor)
                for axis in (0, 1)
            )
            wanted = resize.apply(resize.apply(plane.astype(np.float64), *rows, axis=-2), *columns, axis=-1)
            wanted = np.clip(wanted, 0, (1 << header.depth) - 1)
            assert out.dtype == header.dtype and np.abs(out - wanted).max() < 0.501


def test_planes_may_lie_anyhow_in_memory(way: str) -> None:
    """At an odd byte, as in a map of a 10 bit clip, in another byte order, read-only and by steps: the same codes."""
    header, rng = y4m.make_header(14, 10, chroma="mono10"), np.random.default_rng(0)
    plane = rng.integers(0, 1024, (10, 14)).astype(np.uint16)
    wanted = interpolate.upscale((plane,), header, 2)[0]
    odd = np.frombuffer(b"x" + plane.tobytes(), np.uint16, offset=1).reshape(plane.shape)
    assert not odd.flags.aligned and not odd.flags.writeable
    for given in (odd, plane.astype(">u2"), plane.astype(np.int64), np.repeat(plane, 2, 1)[:, ::2]):
        assert np.array_equal(interpolate.upscale((given,), header, 2)[0], wanted)
    values = np.frombuffer(b"x" + plane.astype(np.float32).tobytes(), np.float32, offset=1).reshape(plane.shape)
    assert np.array_equal(resize.to_integers(values, 10), plane)


def test_a_plane_takes_no_more_memory_than_a_few_of_its_size(way: str) -> None:
    """Weights are not held as matrices of all samples by all samples: those of a line of 12,000 would be 2 GB."""
    header = y4m.make_header(12000, 4, chroma="mono")
    plane = np.zeros((4, 12000), np.uint8)
    tracemalloc.start()
    interpolate.upscale((plane,), header, 2)
    interpolate.downscale((plane,), header, 2)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 20e6


def test_the_kernels_refuse_what_is_not_of_one_size() -> None:
    """Filters that reach out of the plane, other types and other sizes are an error, and nothing is read or written."""
    kernels = resize.compiled or pytest.skip("the kernels are not compiled here; `make setup` does, given a C compiler")
    plane, out = np.zeros((6, 8), np.uint8), np.full((12, 16), 7, np.uint8)
    rows, columns = (resize.taps(size, 2 * size, 0.0, "bicubic", 2.0) for size in plane.shape)
    kernels.resample(plane, *rows, *columns, out, 255)
    assert not out.any()
    far = rows[0] + 1, rows[1]
    for given, words in (
        ((plane, *far, *columns, out, 255), "filters of the plane's"),
        ((plane, *columns, *rows, out, 255), "filters of the plane's"),
        ((plane, *rows, *columns, out[:-1], 255), "filters of the plane's"),
        ((plane.astype(np.int64), *rows, *columns, out, 255), "expected two axes of type BHf, got 2 of type l"),
        ((plane[0], *rows, *columns, out, 255), "expected two axes of type BHf, got 1"),
    ):
        with pytest.raises(ValueError, match=words):
            kernels.resample(*given)
    with pytest.raises((ValueError, BufferError), match="contiguous"):
        kernels.resample(plane[:, ::2], *rows, *columns, out, 255)


@pytest.mark.parametrize("depth", [8, 10, 16])
def test_values_are_rounded_half_up_and_clipped(way: str, depth: int) -> None:
    """Halves go up at every depth, what is out of range is clipped, of any number of axes and any step in memory."""
    most = (1 << depth) - 1
    values = np.array(
        [[-3, -0.4, 0, 0.49, 0.5, 1.5, 2.5], [most - 1.5, most - 0.6, most - 0.5, most, most + 0.4, 1e6, 7.25]]
    )
    wanted = [[0, 0, 0, 0, 1, 2, 3], [most - 1, most - 1, most, most, most, most, 7]]
    for dtype in (np.float32, np.float64):
        made = resize.to_integers(values.astype(dtype), depth)
        assert made.tolist() == wanted and made.dtype == (np.uint8 if depth == 8 else np.uint16)
        assert resize.to_integers(values.T.astype(dtype)[None], depth).tolist() == [np.transpose(wanted).tolist()]
    assert resize.to_integers(np.float32([[0, 0.5, 1, 2]]), depth, most).tolist() == [[0, (most + 1) // 2, most, most]]
    beyond = np.float32([[3e9, np.inf, 1e38, -3e9, -np.inf]])  # no int32
    assert resize.to_integers(beyond, depth).tolist() == [[most, most, most, 0, 0]]
    assert resize.to_integers(np.empty((0, 4), np.float32)).shape == (0, 4)
