"""youku: low-resolution y4m clips in, scored super-resolution submission out.

    download ----> data/clips/*.y4m ----> train ----> runs/<name>/best.safetensors
    (or degrade)         |                                     |
                         +-----------> predict <---------------+
                                          |
                     runs/<name>/predictions/<submission>/*.y4m
                                          |
                   submit ----> submissions/<name>/<name>.zip
                                          |
                    score ----> score.json ----> report ----> report.html

`python -m youku` lists the verbs; each is one module and also runs as `python -m youku.<verb>`. From Python, the names in
NAMES are `youku.Clip` and so on, loaded when they are asked for; docs/api.md shows them at work.
"""

from youku import threads

__version__ = "0.1.0"

# what people use from Python -> its module, and its name there where that is another; "" is the module itself
NAMES = {
    "Clip": ("video.y4m", "Clip"),
    "open_clip": ("video.clips", "open_clip"),
    "make_header": ("video.y4m", "make_header"),
    "create_clip": ("video.y4m", "create"),
    "Degradation": ("video.degradation", "Degradation"),
    "make_pair": ("video.degradation", "make_pair"),
    "psnr": ("metrics.psnr", ""),
    "ssim": ("metrics.ssim", ""),
    "vmaf": ("metrics.vmaf", ""),
    "ModelSpec": ("models.spec", "ModelSpec"),
    "Network": ("engines.network", "Network"),
    "TorchEngine": ("engines.torch_engine", "TorchEngine"),
    "load_network": ("engines.weights", "load"),
    "Options": ("inference.pipeline", "Options"),
    "upscale_frames": ("inference.pipeline", "upscale_frames"),
    "Job": ("inference.jobs", "Job"),
    "predict_all": ("inference.clip", "predict_all"),
    "TrainConfig": ("training.config", "TrainConfig"),
    "start_training": ("training.run", "start"),
}


def __getattr__(name: str):  # type: ignore[no-untyped-def]  # typing is not loaded for this
    """One of NAMES, its module imported now."""
    from importlib import import_module

    if name not in NAMES:
        raise AttributeError(f"module 'youku' has no attribute {name!r}")
    module, attribute = NAMES[name]
    loaded = import_module(f"youku.{module}")
    return getattr(loaded, attribute) if attribute else loaded


def __dir__() -> list[str]:
    """What completion offers."""
    return sorted({*globals(), *NAMES})


threads.wait_asleep()
