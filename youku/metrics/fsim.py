"""Feature similarity [Zhang, Zhang, Mou, Zhang 2011, IEEE TIP 20(8), "FSIM"]: two luma planes -> a number up to 1.

Where either picture has features that an eye would notice (phase congruency), do features and gradients agree?
Phase congruency is Kovesi's [1999, Videre 1(3)] with the constants of the authors' FeatureSIM program. Formulas are in
code values 0-255; planes of other depths are brought there.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from youku.video import resize

T1, T2 = 0.85, 160.0  # section II: stabilise the two similarities
WORKING_SIDE_PX = 256  # the picture is averaged down until its short side is about this
SCALES, ORIENTATIONS = 4, 4
SHORTEST_WAVE_PX, WAVE_RATIO = 6.0, 2.0
BANDWIDTH = 0.55  # sigma of the log-Gabor filter over its centre frequency
ANGLE_SIGMA = math.pi / ORIENTATIONS / 1.2  # radians
NOISE_SIGMAS, NOISE_SHRINK = 2.0, 1.7  # threshold: mean + 2 sigma of the noise's energy, divided by 1.7
EPS = 1e-4  # of amplitudes in code values
LEAST_SIDE_PX = int(SHORTEST_WAVE_PX * WAVE_RATIO ** (SCALES - 1))  # the longest wave: 48 px


def plane(pred: np.ndarray, high: np.ndarray, depth: int = 8) -> float:
    """FSIM of two luma planes (H, W) of `depth` bits, float or integer, symmetric in the two; 1 when they are equal."""
    if pred.shape != high.shape or high.ndim != 2:
        raise ValueError(f"FSIM: expected two luma planes of one size, got {pred.shape} and {high.shape}")
    if min(high.shape) < LEAST_SIDE_PX:
        raise ValueError(
            f"FSIM: the picture {high.shape[1]}x{high.shape[0]} is smaller than {LEAST_SIDE_PX} px, the longest wave "
            "of its filters; use PSNR or SSIM"
        )
    peak = (1 << depth) - 1
    first, second = (_shrink(values.astype(np.float64) * (255 / peak)) for values in (pred, high))
    congruency1, congruency2 = phase_congruency(first), phase_congruency(second)
    weight = np.maximum(congruency1, congruency2)
    features = _similarity(congruency1, congruency2, T1)
    edges = _similarity(gradient(first), gradient(second), T2)
    total = float(weight.sum())
    # two pictures without any feature (flat ones) have nothing to weigh by: the gradients alone decide
    return float((features * edges * weight).sum()) / total if total > EPS else float(edges.mean())


def gradient(luma: np.ndarray) -> np.ndarray:
    """Magnitude of the Scharr gradient (H, W), zeros around the picture as in the authors' program."""
    padded = np.pad(luma, 1)
    across, down = padded[:, 2:] - padded[:, :-2], padded[2:] - padded[:-2]
    across = (3 * across[:-2] + 10 * across[1:-1] + 3 * across[2:]) / 16
    down = (3 * down[:, :-2] + 10 * down[:, 1:-1] + 3 * down[:, 2:]) / 16
    return np.hypot(across, down)


def phase_congruency(luma: np.ndarray) -> np.ndarray:
    """How far the waves of all scales agree in phase at each pixel, in [0, 1], whatever the contrast: (H, W)."""
    filters = log_gabor(*luma.shape)  # (orientations, scales, H, W)
    spectrum = np.fft.fft2(luma)
    energy, amplitude = np.zeros(luma.shape), np.zeros(luma.shape)
    for bank, (per_power, aligned) in zip(filters, _noise_shape(*luma.shape), strict=True):
        response = np.fft.ifft2(spectrum * bank)  # (scales, H, W): even part real, odd part imaginary
        magnitude = np.abs(response)
        summed = response.sum(axis=0)
        direction = summed / (np.abs(summed) + EPS)
        along, aside = (response * direction.conj()).real, (response * direction.conj()).imag
        # noise power from the finest scale: its squared amplitude is exponential, with median = mean ln 2
        power = float(np.median(magnitude[0] ** 2)) / math.log(2) / per_power
        energy += np.maximum((along - np.abs(aside)).sum(axis=0) - _noise_threshold(power * aligned), 0)
        amplitude += magnitude.sum(axis=0)
    return energy / np.maximum(amplitude, EPS)  # a flat picture has no waves and no features


@lru_cache(maxsize=2)
def log_gabor(height: int, width: int) -> np.ndarray:
    """Filters in the frequency domain (orientations, scales, H, W), one-sided: their responses are complex."""
    y, x = np.meshgrid(_frequencies(height), _frequencies(width), indexing="ij")
    radius = np.hypot(x, y)
    low_pass = 1 / (1 + (radius / 0.45) ** 30)  # Butterworth of order 15: keeps the corners of the spectrum out
    radius[0, 0] = 1.0
    angle = np.arctan2(-y, x)
    waves = SHORTEST_WAVE_PX * WAVE_RATIO ** np.arange(SCALES)[:, None, None]
    radial = np.exp(-(np.log(radius * waves) ** 2) / (2 * math.log(BANDWIDTH) ** 2)) * low_pass
    radial[:, 0, 0] = 0.0
    turns = np.arange(ORIENTATIONS)[:, None, None] * math.pi / ORIENTATIONS
    away = np.abs(np.angle(np.exp(1j * (angle - turns))))  # in [0, pi]
    return np.exp(-(away**2) / (2 * ANGLE_SIGMA**2))[:, None] * radial


@lru_cache(maxsize=2)
def _noise_shape(height: int, width: int) -> tuple[tuple[float, float], ...]:
    """Per orientation: (sum of squares of the finest filter, energy that white noise of power 1 leaves in the sum)."""
    filters = log_gabor(height, width)
    shapes = []
    for bank in filters:
        kernels = np.fft.ifft2(bank).real * math.sqrt(height * width)
        squares = float((kernels**2).sum())
        products = (float((kernels.sum(axis=0) ** 2).sum()) - squares) / 2  # pairs of different scales
        shapes.append((float((bank[0] ** 2).sum()), 2 * squares + 4 * products))
    return tuple(shapes)


def _noise_threshold(energy2: float) -> float:
    """Energy that noise alone would reach: mean + k sigma of a Rayleigh distribution of that squared energy."""
    tau = math.sqrt(energy2 / 2)
    mean, sigma = tau * math.sqrt(math.pi / 2), math.sqrt(2 - math.pi / 2) * tau
    return (mean + NOISE_SIGMAS * sigma) / NOISE_SHRINK


def _frequencies(size: int) -> np.ndarray:
    """Cycles a pixel in the order of the FFT; odd sizes span -0.5 to 0.5 as Kovesi's program does."""
    if size % 2:
        return np.fft.ifftshift(np.arange(-(size - 1) / 2, (size - 1) / 2 + 1) / (size - 1))
    return np.fft.fftfreq(size)


def _similarity(first: np.ndarray, second: np.ndarray, constant: float) -> np.ndarray:
    return (2 * first * second + constant) / (first**2 + second**2 + constant)


def _shrink(luma: np.ndarray) -> np.ndarray:
    """Means of F x F blocks, F = short side / 256 rounded."""
    factor = max(1, int(min(luma.shape) / WORKING_SIDE_PX + 0.5))
    return resize.block_means(luma, factor, factor)
