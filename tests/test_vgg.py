"""training.vgg: the networks, their weight files, and losses through them (random weights)."""

from __future__ import annotations

import io
import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from youku.training import losses, vgg
from youku.training.losses import Loss

# torchvision's columns D and E: channels of each convolution, M = maximum
VGG16 = [64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M"]
VGG19 = [64, 64, "M", 128, 128, "M", *[256] * 4, "M", *[512] * 4, "M", *[512] * 4, "M"]
COLUMNS = {"vgg16": VGG16, "vgg19": VGG19}


def random_state(net: str, num_blocks: int = 5, seed: int = 0) -> dict[str, Tensor]:
    """features.N.weight and .bias of the first blocks, numbered as torchvision numbers its modules."""
    generator = torch.Generator().manual_seed(seed)
    state, index, num_in, block = {}, 0, 3, 0
    for entry in COLUMNS[net]:
        if entry == "M":
            index, block = index + 1, block + 1
            if block == num_blocks:
                break
            continue
        weight = torch.randn(entry, num_in, 3, 3, generator=generator) * (2 / (9 * num_in)) ** 0.5
        state[f"features.{index}.weight"] = weight
        state[f"features.{index}.bias"] = torch.randn(entry, generator=generator) * 0.1
        num_in, index = entry, index + 2
    return state


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One weights file a network: vgg19 as .pth with a classifier, vgg16 as .safetensors; the first three blocks."""
    folder = tmp_path_factory.mktemp("vgg")
    paths = {"vgg19": folder / "vgg19.pth", "vgg16": folder / "vgg16.safetensors"}
    state = {**random_state("vgg19", 3), "classifier.0.weight": torch.zeros(2, 2)}
    torch.save(state, paths["vgg19"], _use_new_zipfile_serialization=False)  # torchvision's files are this old
    save_file(random_state("vgg16", 3), os.fspath(paths["vgg16"]))
    return paths


def loss_of(text: str, file: str = "") -> Loss:
    return losses.make_loss(losses.parse(text), file)


def pictures(side_px: int = 32, channels: int = 3, seed: int = 1) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    pred, high = torch.rand(2, 2, channels, side_px, side_px, generator=generator)
    return pred, high


@pytest.mark.parametrize("net", COLUMNS)
def test_architecture_has_torchvisions_keys_and_counts(net: str) -> None:
    """All convolutions stand at torchvision's numbers; the totals are the published ones."""
    module = vgg.Features(net, ["pool5"])
    state = random_state(net)
    assert {key: value.shape for key, value in module.state_dict().items()} == {
        key: value.shape for key, value in state.items()
    }
    assert sum(value.numel() for value in state.values()) == {"vgg16": 14_714_688, "vgg19": 20_024_384}[net]


def test_layer_numbers_are_those_of_the_sources() -> None:
    """relu2_2 and relu5_4 of VGG19 are Torch's modules 9 and 36, 1-based."""
    names = vgg.layer_names("vgg19")
    assert (names[9 - 1], names[36 - 1]) == ("relu2_2", "relu5_4")
    assert len(names) == 37 and len(vgg.layer_names("vgg16")) == 31


def test_features_are_the_plain_computation(files: dict[str, Path]) -> None:
    """conv = before the activation, relu = after, pool = 2x2 maximum, on ImageNet-normalised RGB."""
    state, (high, _) = random_state("vgg19"), pictures()
    found = vgg.load("vgg19", files["vgg19"], ["relu1_1", "conv1_2", "pool1", "conv2_1"])(high)
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    x = (high - mean.view(3, 1, 1)) / deviation.view(3, 1, 1)
    relu1 = F.conv2d(x, state["features.0.weight"], state["features.0.bias"], padding=1).relu()
    conv2 = F.conv2d(relu1, state["features.2.weight"], state["features.2.bias"], padding=1)
    pool = F.max_pool2d(conv2.relu(), 2)
    conv3 = F.conv2d(pool, state["features.5.weight"], state["features.5.bias"], padding=1)
    for layer, expected in {"relu1_1": relu1, "conv1_2": conv2, "pool1": pool, "conv2_1": conv3}.items():
        torch.testing.assert_close(found[layer], expected)
    assert (found["conv1_2"] < 0).any()  # an activation in place would have overwritten them


def test_frozen_and_float32_under_autocast(files: dict[str, Path]) -> None:
    """No parameter learns, the mode is eval, and autocast changes nothing."""
    network, (high, _) = vgg.load("vgg19", files["vgg19"], ["relu2_2"]), pictures()
    assert not network.training and not any(value.requires_grad for value in network.parameters())
    with torch.autocast("cpu", torch.bfloat16):
        inside = network(high)["relu2_2"]
    assert inside.dtype == torch.float32
    assert torch.equal(inside, network(high)["relu2_2"])


def test_luma_is_three_equal_channels(files: dict[str, Path]) -> None:
    """A luma network's picture is judged as the grey RGB picture."""
    pred, high = pictures(channels=1)
    luma = loss_of("vgg19:relu2_2", os.fspath(files["vgg19"]))(pred, high)
    grey = loss_of("vgg19:relu2_2", os.fspath(files["vgg19"]))(pred.expand(-1, 3, -1, -1), high.expand(-1, 3, -1, -1))
    assert torch.equal(luma, grey) and luma > 0


def test_pictures_have_one_or_three_channels(files: dict[str, Path]) -> None:
    """VGG sees luma three times and RGB as it is; anything else is a mistake of ours, not stretched to three."""
    with pytest.raises(AssertionError, match=r"one or three channels, got \(2, 2, 32, 32\)"):
        loss_of("vgg19:relu2_2", os.fspath(files["vgg19"]))(*pictures(channels=2))


FORMS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "relu2_2": F.mse_loss,
    "relu2_2/12.75": lambda pred, high: F.mse_loss(pred, high) / 12.75**2,
    "relu2_2,l1": F.l1_loss,
    "relu2_2/mean,l1": lambda pred, high: F.l1_loss(
        pred / pred.mean(dim=(1, 2, 3), keepdim=True), high / high.mean(dim=(1, 2, 3), keepdim=True)
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_the_perceptual_loss(files: dict[str, Path], form: str) -> None:
    """Plain MSE, SRGAN's divisor, ESRGAN's absolute error, EnhanceNet's mean: each as its formula says."""
    pred, high = pictures()
    network = vgg.load("vgg16", files["vgg16"], ["relu2_2"])
    expected = FORMS[form](network(pred)["relu2_2"], network(high)["relu2_2"])
    value = loss_of(f"0.5*vgg16:{form}", os.fspath(files["vgg16"]))(pred, high)
    assert float(value) == pytest.approx(0.5 * float(expected), rel=1e-5)


def test_gradient_reaches_the_prediction_only(files: dict[str, Path]) -> None:
    """The prediction gets a finite gradient, the target none."""
    pred, high = (picture.requires_grad_() for picture in pictures(64))
    loss_of("vgg19:relu3_1+texture", os.fspath(files["vgg19"]))(pred, high).backward()
    assert high.grad is None
    assert pred.grad is not None and torch.isfinite(pred.grad).all() and pred.grad.abs().sum() > 0


def test_mix_is_the_sum_of_its_terms(files: dict[str, Path]) -> None:
    """Several terms that share one pass through the network weigh as they do alone."""
    pred, high = pictures(64)
    parts = {"l2": 1.0, "vgg19:relu2_2": 0.2, "vgg19:conv3_1,l1": 0.01, "texture": 2.0}
    weights = os.fspath(files["vgg19"])
    alone = sum(weight * loss_of(part, weights)(pred, high) for part, weight in parts.items())
    mixed = loss_of("+".join(f"{weight}*{part}" for part, weight in parts.items()), weights)
    assert float(mixed(pred, high)) == pytest.approx(float(alone), rel=1e-5)


def test_gram_is_symmetric_and_a_sum() -> None:
    """G = F F^T: symmetric, and its diagonal holds each channel's sum of squares."""
    features = torch.rand(2, 5, 6, 7)
    gram = vgg.gram(features)
    assert gram.shape == (2, 5, 5)
    torch.testing.assert_close(gram, gram.mT)
    torch.testing.assert_close(gram.diagonal(dim1=1, dim2=2), (features**2).sum(dim=(2, 3)))


def test_patches_tile_the_picture() -> None:
    """Each patch is a 16x16 piece of one picture, in reading order; what is left at the edges is dropped."""
    features = torch.arange(2 * 3 * 35 * 50.0).view(2, 3, 35, 50)
    pieces = vgg.patches(features)
    assert pieces.shape == (2 * 2 * 3, 3, 16, 16)
    assert torch.equal(pieces[0], features[0, :, :16, :16])
    assert torch.equal(pieces[5], features[0, :, 16:32, 32:48])
    assert torch.equal(pieces[6], features[1, :, :16, :16])


def test_texture_is_enhancenets(files: dict[str, Path]) -> None:
    """3e-7, 1e-6, 1e-6 times the MSE of Grams at blocks 1 to 3, patch by patch, features of mean 1."""
    pred, high = pictures(64)
    network = vgg.load("vgg19", files["vgg19"], ["relu1_1", "relu2_1", "relu3_1"])
    ours, theirs, expected = network(pred), network(high), 0.0
    for layer, weight in (("relu1_1", 3e-7), ("relu2_1", 1e-6), ("relu3_1", 1e-6)):
        squares = []
        for top in range(0, ours[layer].shape[2], 16):
            for left in range(0, ours[layer].shape[3], 16):
                grams = []
                for features in (ours[layer], theirs[layer]):
                    scaled = features / features.mean(dim=(1, 2, 3), keepdim=True)
                    piece = scaled[:, :, top : top + 16, left : left + 16]
                    grams.append(torch.einsum("ncyx,ndyx->ncd", piece, piece))
                squares.append(((grams[0] - grams[1]) ** 2).mean())
        expected += weight * float(torch.stack(squares).mean())
    value = loss_of("texture", os.fspath(files["vgg19"]))(pred, high)
    assert float(value) == pytest.approx(expected, rel=1e-4)


def test_texture_ignores_where_in_the_patch() -> None:
    """Shuffling the positions inside a patch changes the features but not the texture."""
    features = torch.rand(1, 4, 16, 16) + 0.1
    shuffled = features.flatten(2)[:, :, torch.randperm(256)].view_as(features)
    assert float(F.mse_loss(features, shuffled)) > 1e-2
    assert float(vgg.texture_distance(features, shuffled)) < 1e-4


def test_texture_needs_patches_of_64(files: dict[str, Path]) -> None:
    """Smaller pictures have no 16x16 patch at conv3_1: said with the flags to change."""
    loss = loss_of("texture", os.fspath(files["vgg19"]))
    with pytest.raises(ValueError, match="features of 15x15 are smaller than a patch of 16 px.*at least 64 px"):
        loss(*pictures(60))


@pytest.mark.parametrize("normalisation", vgg.NORMALISATIONS)
def test_safetensors_say_their_normalisation(tmp_path: Path, normalisation: str) -> None:
    """Metadata "normalisation" picks the input: Caffe's is 0-255 minus its means, BGR unless the file says RGB."""
    state, (high, _) = random_state("vgg16", 1), pictures()
    save_file(state, os.fspath(tmp_path / "w.safetensors"), metadata={"normalisation": normalisation})
    found = vgg.load("vgg16", tmp_path / "w.safetensors", ["conv1_1"])(high)["conv1_1"]
    red, green, blue = high.unbind(dim=1)
    expected = {
        "torchvision": [(red - 0.485) / 0.229, (green - 0.456) / 0.224, (blue - 0.406) / 0.225],
        "caffe-bgr": [255 * blue - 103.939, 255 * green - 116.779, 255 * red - 123.68],
        "caffe-rgb": [255 * red - 123.68, 255 * green - 116.779, 255 * blue - 103.939],
    }[normalisation]
    x = torch.stack(expected, dim=1)
    torch.testing.assert_close(
        found, F.conv2d(x, state["features.0.weight"], state["features.0.bias"], padding=1), atol=1e-3, rtol=1e-4
    )


@pytest.mark.parametrize("kernels", ["out-in-y-x", "y-x-in-out"])
@pytest.mark.parametrize("net", COLUMNS)
def test_npz_gives_the_same_network(tmp_path: Path, files: dict[str, Path], net: str, kernels: str) -> None:
    """A .npz of conv1_1_W and conv1_1_b, kernels in either order, equals the state dict it came from."""
    state, names = random_state(net, 3), vgg.layer_names(net)
    arrays: dict[str, np.ndarray] = {"fc6_W": np.zeros((2, 2))}
    for key, value in state.items():
        _, index, part = key.split(".")
        if part == "weight" and kernels == "y-x-in-out":
            value = value.permute(2, 3, 1, 0)
        arrays[f"{names[int(index)]}_{'W' if part == 'weight' else 'b'}"] = value.numpy()
    np.savez(tmp_path / "a.npz", normalisation="torchvision", **arrays)
    np.savez(tmp_path / "b.npz", **arrays)
    _, high = pictures()
    found = vgg.load(net, tmp_path / "a.npz", ["relu2_1"])(high)["relu2_1"]
    assert torch.equal(found, vgg.load(net, files[net], ["relu2_1"])(high)["relu2_1"])
    assert vgg.load(net, tmp_path / "b.npz", ["relu2_1"]).factor == 255  # Caffe's, unless the file says otherwise


def test_absent_weights_say_how_to_get_them(tmp_path: Path) -> None:
    """Without a file, with a wrong path or with a folder: one sentence with the address."""
    with pytest.raises(
        ValueError, match=r"not shipped; download https://\S+/vgg19-dcbb9e9d.pth and give --vgg-weights"
    ):
        loss_of("l2+0.01*vgg19:relu5_4")
    with pytest.raises(ValueError, match=r"none.pth: expected a file, found none; .*vgg16-397923af.pth"):
        loss_of("vgg16:relu2_2", os.fspath(tmp_path / "none.pth"))
    with pytest.raises(ValueError, match="found a folder"):
        loss_of("vgg16:relu2_2", os.fspath(tmp_path))


def test_weights_of_another_network_are_listed(files: dict[str, Path], tmp_path: Path) -> None:
    """VGG16 as VGG19, a network with batch norm, a file that ends too early: the keys at fault are named."""
    save_file(random_state("vgg16", 5), os.fspath(tmp_path / "full16.safetensors"))
    with pytest.raises(ValueError, match=r"full16.safetensors: as vgg19: .*unknown features.17.weight"):
        vgg.load("vgg19", tmp_path / "full16.safetensors", ["relu2_2"])
    state = {**random_state("vgg19", 1), "features.1.running_mean": torch.zeros(64)}
    save_file(state, os.fspath(tmp_path / "bn.safetensors"))
    with pytest.raises(ValueError, match=r"unknown features.1.running_mean"):
        vgg.load("vgg19", tmp_path / "bn.safetensors", ["relu1_2"])
    with pytest.raises(ValueError, match=r"missing features.19.weight"):
        vgg.load("vgg19", files["vgg19"], ["relu4_2"])


class Evil:
    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("true",)


def test_files_that_are_no_weights_are_refused(tmp_path: Path) -> None:
    """A pickle that would run code, damage, text, a list, an unknown normalisation: one sentence with the file."""
    torch.save({"features.0.weight": Evil()}, tmp_path / "evil.pth")
    (tmp_path / "text.pth").write_text("no weights")
    (tmp_path / "empty.pth").write_bytes(b"")
    torch.save([1, 2], tmp_path / "list.pth")
    torch.save(random_state("vgg19", 1), tmp_path / "whole.pth")
    (tmp_path / "cut.pth").write_bytes((tmp_path / "whole.pth").read_bytes()[:5000])
    (tmp_path / "text.npz").write_text("no weights")
    (tmp_path / "text.safetensors").write_text("no weights")
    save_file(random_state("vgg19", 1), os.fspath(tmp_path / "odd.safetensors"), metadata={"normalisation": "mine"})
    expected = {
        "evil.pth": "refused: loading it would run posix.system",
        "text.pth": "expected a whole torch checkpoint",
        "empty.pth": "expected a whole torch checkpoint",
        "list.pth": "expected a state dict",
        "cut.pth": "expected a whole torch checkpoint",
        "text.npz": "expected a whole .npz",
        "text.safetensors": "whole safetensors file",
        "odd.safetensors": "normalisation 'mine': expected one of torchvision, caffe-bgr, caffe-rgb",
    }
    for name, message in expected.items():
        with pytest.raises(ValueError, match=f"{name}: .*{message}") as caught:
            vgg.load("vgg19", tmp_path / name, ["relu1_1"])
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("damage", ["text", "cut", "crc", "offset", "head", "bomb"])
def test_a_damaged_npz_is_one_sentence(tmp_path: Path, damage: str) -> None:
    """Whatever numpy and zipfile raise over it, in a loss and in inspect."""
    path = tmp_path / "a.npz"
    value = np.array(["x"]) if damage == "text" else np.ones((3, 3, 3, 64), np.float32)
    (np.savez_compressed if damage == "bomb" else np.savez)(path, conv1_1_W=value, conv1_1_b=np.zeros(64, np.float32))
    data = bytearray(path.read_bytes())
    if damage == "cut":
        data[-300:-100] = b""
    elif damage == "crc":
        data[500] ^= 1
    elif damage == "offset":
        entry = data.index(b"PK\x01\x02")
        data[entry + 42 : entry + 46] = b"\x00\xff\xff\xff"
    elif damage == "head":
        data[data.index(b"'shape'") + 9] = ord("{")
        data = bytearray(recounted(bytes(data)))
    elif damage == "bomb":
        entry = data.index(b"PK\x01\x02")
        data[entry + 24 : entry + 28] = b"\x00\xff\xff\x7f"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"a\.npz: (expected a whole \.npz|its directory claims)") as caught:
        vgg.load("vgg19", path, ["relu1_1"])
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


def recounted(data: bytes) -> bytes:
    """The same members with checksums that are right."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        for info in old.infolist():
            start = (
                info.header_offset
                + 30
                + sum(struct.unpack("<HH", data[info.header_offset + 26 : info.header_offset + 30]))
            )
            new.writestr(info.filename, data[start : start + info.file_size])
    return out.getvalue()


def test_two_networks_in_one_loss_are_refused(files: dict[str, Path]) -> None:
    """One file holds one network."""
    with pytest.raises(ValueError, match="vgg16 and vgg19: one weights file holds one network"):
        loss_of("vgg16:relu2_2+texture", os.fspath(files["vgg19"]))
