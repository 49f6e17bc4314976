"""Stand-in clips made from the photographs that scikit-image ships: a camera pans and zooms over them.

They let the demo, the tests and the notebooks run without a download: contest-like 4:2:0 frames with one odd-sized
low-resolution clip, letterbox bars and a cut. Nothing about them is Youku's own footage.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from youku.video import color
from youku.video.y4m import Header, Planes, make_header

WIDTH_PX, HEIGHT_PX = 384, 216
NUM_FRAMES = 30
BAR_PX = 24
BLACK = (16, 128, 128)


@dataclass(frozen=True)
class Scene:
    """One clip: photographs shown one after the other (a cut between them), at a size, with or without bars."""

    clip_id: int
    photos: tuple[str, ...]
    width_px: int = WIDTH_PX
    height_px: int = HEIGHT_PX
    has_bars: bool = False

    @property
    def header(self) -> Header:
        return make_header(self.width_px, self.height_px, 25)


TRAIN_SCENES = tuple(
    Scene(clip_id, (photo,))
    for clip_id, photo in enumerate(
        ("hubble_deep_field", "stereo_motorcycle", "retina", "immunohistochemistry", "brick", "grass", "gravel",
         "camera", "stereo_motorcycle", "page", "coins", "text")
    )
)  # fmt: skip

# Five whole clips and three sampled ones, named as the local rehearsal (val, 00150-...).
VAL_SCENES = (
    Scene(150, ("astronaut",)),
    Scene(151, ("chelsea",), WIDTH_PX + 4, HEIGHT_PX + 4),  # low resolution 97x55: odd both ways
    Scene(152, ("coffee",), has_bars=True),
    Scene(153, ("rocket", "astronaut")),  # a cut in the middle
    Scene(154, ("rocket",)),
    Scene(155, ("astronaut",)),
    Scene(156, ("coffee",)),
    Scene(157, ("chelsea",)),
)


def scene_frames(scene: Scene, num_frames: int = NUM_FRAMES) -> Iterator[Planes]:
    """Frames of a scene as 8-bit 4:2:0 planes; the same every time."""
    shares = np.array_split(np.arange(num_frames), len(scene.photos))
    for index, (photo, share) in enumerate(zip(scene.photos, shares, strict=True)):
        rng = np.random.default_rng((scene.clip_id, index))
        for rgb in _camera(load_photo(photo), len(share), scene.width_px, scene.height_px, rng):
            planes = color.rgb_to_planes(rgb, scene.header.layout)
            yield _with_bars(planes) if scene.has_bars else planes


def load_photo(name: str) -> np.ndarray:
    """A photograph of scikit-image's wheel as uint8 RGB (H, W, 3)."""
    from skimage import data

    shipped = (
        *(data.astronaut, data.brick, data.camera, data.chelsea, data.coffee, data.coins, data.grass, data.gravel),
        *(data.hubble_deep_field, data.immunohistochemistry, data.page, data.retina, data.rocket, data.text),
    )
    loaders = {load.__name__: load for load in shipped} | {"stereo_motorcycle": lambda: data.stereo_motorcycle()[0]}
    if name not in loaders:
        raise ValueError(f"photograph {name!r}: expected one of {', '.join(loaders)}")
    photo = np.asarray(loaders[name]())
    return np.repeat(photo[..., None], 3, axis=2) if photo.ndim == 2 else photo[..., :3]


def _camera(
    photo: np.ndarray, num_frames: int, width_px: int, height_px: int, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """Pan from one place to another while the zoom changes a little; the photograph is enlarged only if it is small."""
    import torch
    from torch.nn import functional as F

    picture = torch.from_numpy(np.ascontiguousarray(photo)).permute(2, 0, 1)[None].float()
    tall, wide = photo.shape[:2]
    widest = min(wide / width_px, tall / height_px)
    zooms = widest * rng.uniform(0.75, 1.0, 2)
    ends = rng.uniform(0, 1, (2, 2))
    for index in range(num_frames):
        share = index / max(1, num_frames - 1)
        zoom = zooms[0] * (1 - share) + zooms[1] * share
        place = ends[0] * (1 - share) + ends[1] * share
        top = place[0] * (tall - zoom * height_px)
        left = place[1] * (wide - zoom * width_px)
        rows = (torch.arange(height_px) + 0.5) * zoom + top
        columns = (torch.arange(width_px) + 0.5) * zoom + left
        grid = torch.stack(torch.meshgrid(columns / wide * 2 - 1, rows / tall * 2 - 1, indexing="xy"), dim=-1)
        source = F.avg_pool2d(picture, 2, 1, 0) if zoom > 1.6 else picture  # mild anti-aliasing for large photographs
        frame = F.grid_sample(source, grid[None].float(), "bicubic", "border", align_corners=False)[0]
        yield frame.clamp(0, 255).add(0.5).byte().permute(1, 2, 0).contiguous().numpy()


def _with_bars(planes: Planes) -> Planes:
    """Letterbox bars above and below, in studio black."""
    barred = tuple(plane.copy() for plane in planes)
    for plane, black, bar_px in zip(barred, BLACK, (BAR_PX, BAR_PX // 2, BAR_PX // 2), strict=True):
        plane[:bar_px] = plane[-bar_px:] = black
    return barred
