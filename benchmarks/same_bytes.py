"""Fingerprints of what the kit makes, through its command line alone: equal before and after the code is rearranged.

python benchmarks/same_bytes.py --out before.json        # {command -> what it said or wrote: sha256}
python benchmarks/same_bytes.py --against before.json    # runs all again, names what differs and exits 1, or counts
On one machine with the same packages. `--only predict`: commands that begin so; `--work FOLDER` (new) keeps the files.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import skimage
from imageio_ffmpeg import get_ffmpeg_exe

ROOT, PHOTO = Path(__file__).resolve().parents[1], Path(skimage.__file__).parent / "data" / "astronaut.png"
MADE_BY = {"PYTHONPATH": str(ROOT), "PY": sys.executable, "FF": get_ffmpeg_exe(), "PHOTO": str(PHOTO)}
INPUTS = r"""cut() { "$FF" -v error -loop 1 -i "$PHOTO" -frames:v $4 -strict -1 -pix_fmt $3 \
  -vf "crop=$2:x=mod(91*$5+3*n\,320):y=mod(37*$5+2*n\,400):exact=1" $1; }; mkdir pics val
cut even.y4m 48:32 yuv420p 6 0; cut deep.y4m 48:32 yuv420p10 6 1; cut full.y4m 48:32 yuv444p 6 2
cut gray.y4m 48:32 gray 6 3; cut odd.y4m 37:29 yuv420p 6 4; printf '1\n00:00:00,200 --> 00:00:00,600\nHello\n' > s.srt
for i in 0 1 2 3 4 5 6; do cut clip$i.y4m 192:108 yuv420p 27 $i; cut pics/$i.png $((132-i)):$((96+3*i)) rgb24 1 $i; done
"$FF" -v error -i clip0.y4m -f lavfi -i sine=d=1 -i s.srt -map 0 -map 1 -map 2 -s 64x36 \
  -colorspace bt709 -fflags +bitexact film.mkv
mv pics/5.png pics/6.png val; "$PY" -c 'import numpy as np, safetensors.numpy as st; rng = np.random.default_rng(0)
st.save_file({f"features.{at}.{part}": rng.normal(0, 0.05, size).astype("f4") for at, num in ((0, 3), (2, 64))
  for part, size in (("weight", (64, num, 3, 3)), ("bias", 64))}, "vgg.safetensors")'"""
# Verbs of the kit, but `stop` trains, is stopped and goes on, and `curves` draws a log without its speed.
SHELL = """y() { "$PY" -m youku "$@"; }; train() { y train --name run "$@"; }; log=OUT/run/log.jsonl
curves() { sed 's/"steps_per_sec.*wait[^,]*,//' $1/run/log.jsonl > OUT/a.jsonl; shift; y curves OUT/a.jsonl "$@"; }
stop() { "$PY" -m youku train --name run "$@" 2>/dev/null & while kill -0 $! && ! { [ -e $log ] && [ $(wc -l < $log) -gt 8 ]; }
  do sleep 0.1; done; kill $!; wait $!; echo $?; y train --resume OUT/run 2>/dev/null; }"""
SHORT = {
    "CLIPS": "--data PAIRS --val-clips 1 --runs OUT --val-metric psnr --patch-px 12 --batch 2 --log-every 1",
    "PHOTOS": "--data pics --val-data val --runs OUT --val-metric psnr --patch-px 16 --batch 2 --log-every 1",
    "TEST": "--low PAIRS --test-set 150-156", "@": "run/best.safetensors", "Y4M": "OUT/a.y4m",
}  # fmt: skip
# Commands, parted by " ; "; a " |" begins a variant. OUT is a command's own folder, "NAME: " names it for others.
ROWS = """PAIRS: degrade clip*.y4m OUT --preset youku --first-id 150 ; NET: train --recipe fsrcnn --data PAIRS --runs
OUT --batch 4 --steps 200 --patch-px 16 --val-every 100 --log-every 10 ; GAN: train --recipe srgan CLIPS
--pretrain-steps 6 --steps 12 --loss l2+0.1*vgg19:relu1_2+0.001*gan --vgg-weights vgg.safetensors ; RGB: train --recipe
edsr-baseline CLIPS --steps 20 ; THREE: train --recipe enhancenet-3frame CLIPS --steps 20 ; PICS: train --recipe fsrcnn
PHOTOS --scale 2 --steps 20 --rescale 1,0.9 --resizers nearest --noise 2 ; demo --steps 400 --out OUT ; stop CLIPS
--steps | 250 --val-every 125 | 16 --pretrain-steps 6 --d-steps 2 --loss l1+0.01*ragan --model espcn ; train CLIPS
--steps 5 --init-from NET/@ --train-only last ; train PHOTOS --steps 3 --loss | charbonnier+fft+wgan-gp --discriminator
enhancenet --optimizer adamw --warmup 2 --input-mean 0.4 | smooth-l1:0.1+0.2*ssim+tv+log-mse+hinge --optimizer sgd
--schedule batch --lr-step 2 --init gaussian --ema 0 --clip-element 1e-3 --lr-factors first=0.1 --amp ; train CLIPS
--every 3 --steps 1 --model | srcnn | fsrcnn-s | espcn-rgb | srresnet-improved | enhancenet-y | perceptual-sr-deconv |
oldfilm-scaled | vsrnet | enhancenet-3frame-concat | rlfn | span-28 | srvgg-16 ; train PHOTOS --scale 2 --steps 1
--model | waifu2x-upconv7-y | vdsr --scales 2,3,4 ; experiment l1-against-l2 PHOTOS --steps 2 ; degrade | film.mkv
val/6.png OUT --scale 3 --kernel lanczos --blur 1 --codec mjpeg --qscale 6 --order code-first --split-every 9 | --check
PAIRS | --list-presets ; degrade even.y4m OUT --scale 2 --size 40x32 --preset | mixed | jpeg | blur+noise | oldfilm-rm ;
predict even.y4m Y4M | | --scale 2 | --scale 3 | --model bicubic | --tile 16 | --half | --ensemble | --sharpen 1.5,0.5 |
--frames 1-3 --batch 2 | --weights RGB/@ --tile 24 | --weights GAN/@ --batch 4 | --weights THREE/@ | --weights THREE/@
--frames 2-4 ; predict odd.y4m Y4M | | --scale 3 --tile 16 | --weights RGB/@ ; predict deep.y4m Y4M | | --model bicubic
--scale 3 | --weights RGB/@ --ensemble --sharpen 1,0.4 ; predict full.y4m Y4M | | --weights RGB/@ ; predict gray.y4m Y4M
| | --scale 3 --tile 16 | --weights THREE/@ ; predict - - | < even.y4m > Y4M | --weights PICS/@ < deep.y4m > Y4M ;
predict film.mkv | OUT/a.mkv --codec ffv1 | Y4M | OUT/a.webm --scale 2 --no-subtitles | OUT/a.mp4 --frames 3-9
--no-subtitles ; predict deep.y4m OUT/a.mkv ; SENT: predict PAIRS OUT --frames scored --test-set 150-156 --weights NET/@
; CUBIC: predict PAIRS OUT --frames scored --test-set 150-156 --model bicubic ; PACK: submit CUBIC --name a TEST --out
OUT --json ; submit --check | PACK/a/a.zip TEST | PAIRS --json ; SCORE: score PACK/a/a.zip TEST --high PAIRS --out OUT ;
NEXT: score SENT TEST --high PAIRS --out OUT/a --artefacts --json && y report OUT/a --sweep && y report --leaderboard
OUT ; score CUBIC TEST --high PAIRS --out OUT | --psnr-planes rgb --no-vmaf --jobs 1 | --psnr-planes y --psnr-pool frame
--vmaf-pool harmonic --vmaf-clips all --vmaf-model vmaf_v0.6.1neg ; report SCORE NEXT/a --out OUT/a.html ; convert
even.y4m | OUT/a | OUT/a --route float | OUT/a.mp4 | Y4M --every 25 | Y4M --deblock | OUT/a --format bmp --json ;
convert odd.y4m OUT/a --planes && y convert OUT/a Y4M && y convert OUT/a OUT/a.webm --fps 24 ; convert film.mkv | Y4M
--start 0.2 --duration 0.4 | OUT/f-%4d.png --every 3 ; convert deep.y4m OUT/a.yuv && y convert OUT/a.yuv Y4M --size
48x32 --chroma 420p10 --fps 30 --every 2 ; convert even.y4m OUT/f%3d.bmp && y convert OUT/f%3d.bmp | Y4M | OUT/a.mkv
--audio film.mkv --duration 0.2 --codec ffv1 ; convert pics OUT/a.h5 --hdf5 train --scale | 4 --patch 16 --stride 5 | 3
--augment ; HDF: convert val OUT/a.h5 --hdf5 eval --scale 2 && y convert OUT/a.h5 OUT/a ; convert --report even.y4m ;
evaluate val --pooled | --fsim --protocol rgb_crop_s y_full --scale 2 | --weights RGB/@ --json --protocol y_crop_4
y_diff_edsr | --save OUT/a --resizer python-bilinear --ensemble --scale 3 ; evaluate HDF/a.h5 --scale 2 --model bicubic
; models | | --json | fsrcnn --scale 3 --print | vsrnet --measure --json ; inspect | film.mkv --json --png OUT/a.png |
deep.y4m --json | NET/@ --histogram --checkerboard | RGB/@ --png OUT/a.png | vgg.safetensors --features relu1_2
--picture val/6.png --json --out OUT ; compare clip0.y4m PAIRS/*150_*.y4m --out | OUT/a.png --frame 3 --magnify 4 --zoom
40,30,24,16 --labels a,b,c --heat | OUT/a.mp4 --wipe --crf 30 --matrix 709 --frames 5 --json ; curves NET --stride 20 |
| --png OUT/a.png --end 5 --json ; predict none.y4m Y4M | | --scale 7 | --codec x264 ; train --steps 0 --lr 0 --loss l3
; degrade no.mp4 a ; inspect s.srt ; nothing ; download --split val --base-url file:///none --data OUT"""
LEFT_OUT = (
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d\S{6})?( UTC)?", r'"(steps_per_sec|data_wait)": [\d.e-]+', r"\d+ seconds",
    r'(?<=youku)"?:? "?\d+\.\d+\.\d+', r"^# (versions|commit): .*\n", r'(?<="weights": ")[0-9a-f]{64}', r"\b\d{19}\b",
    r'(?<="stamp": ")[\d ]+', r'(?<="digest": ")\w+', r"(?<=frames), [\d.e+]+ frames/s \(busy: .*\)",
    r"(?<=cpu), (about \d+ s|[\d.e+]+ frames a second).*$",
    r"^.*\[\d\d:\d\d[<,].*\n", r"^usage: .*\n( .*\n)*", r"^/.*Warning: .*\n .*\n", r"^\s*\n",
)  # fmt: skip


def read_rows() -> dict[str, str]:
    """{folder: command}, each variant by itself."""
    found: dict[str, str] = {}
    for row in " ".join(ROWS.split()).split(" ; "):
        label, text = re.fullmatch(r"(?:([A-Z]+): )?(.*)", row).groups()  # type: ignore[union-attr]
        first, *variants = text.split(" |")
        for variant in variants or [""]:
            found[label or f"o{len(found)}"] = re.sub("|".join(SHORT), lambda word: SHORT[word[0]], first + variant)
    return found


def content(path: Path, work: Path) -> bytes:
    """What counts of a file: text without times, tensors in order, the packets of a video, else its bytes."""
    data = path.read_bytes()
    if path.suffix in (".txt", ".json", ".jsonl", ".toml", ".html"):
        text = data.replace(b"\r", b"\n").replace(str(work).encode(), b"WORK")
        return re.sub("|".join(LEFT_OUT).encode(), b"", text, flags=re.MULTILINE)
    if path.suffix in (".mkv", ".mp4", ".webm"):
        line = [MADE_BY["FF"], "-i", path, "-map", "0", "-c", "copy", "-f", "framemd5", "-"]
        done = subprocess.run(line, capture_output=True)
        return done.stdout + b"".join(re.findall(b"(?:Stream|Duration|Chapter).*", done.stderr))
    if path.suffix == ".pt":
        with zipfile.ZipFile(path) as file:
            return b"".join(file.read(name) for name in file.namelist() if "/data/" in name)
    if path.suffix == ".safetensors":
        end = 8 + int.from_bytes(data[:8], "little")
        return json.dumps(json.loads(data[8:end]), sort_keys=True).encode() + data[end:]
    return data


def run(name: str, command: str, work: Path, begun: dict[str, Future]) -> dict[str, str]:
    """Fingerprints of what one command says and of every file that it writes, after those whose folders it reads."""
    for other in begun.keys() & set(re.findall("[A-Z]+", command)):
        begun[other].result()
    (work / name).mkdir()
    verb = "" if f"{command.split()[0]}()" in SHELL else "y "
    line = f"{{ {SHELL}\n{verb}{command}\necho exit $?; }} > OUT.txt 2>&1"
    subprocess.run(["bash", "-c", line.replace("OUT", name)], cwd=work, check=True)
    paths = [work / f"{name}.txt", *(path for path in sorted((work / name).rglob("*")) if path.is_file())]
    return {f"{command} -> {path.relative_to(work)}": hashlib.sha256(content(path, work)).hexdigest() for path in paths}


def fingerprints(work: Path, only: str) -> dict[str, str]:
    """Those of all commands that begin with `only`, two at a time; what they need of others is made too."""
    os.environ.update(MADE_BY, OMP_NUM_THREADS="1")
    subprocess.run(["bash", "-ec", INPUTS], cwd=work, check=True)
    rows = read_rows()
    for name in reversed(list(rows)):
        if not rows[name].startswith(only) and not re.search(rf"\b{name}\b", " ".join(rows.values())):
            del rows[name]
    begun: dict[str, Future] = {}
    with ThreadPoolExecutor(2) as pool:
        for name in rows:
            begun[name] = pool.submit(run, name, rows[name], work, begun)
    return {key: value for part in begun.values() for key, value in part.result().items() if key.startswith(only)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for flag, default in {"--out": None, "--against": None, "--work": None, "--only": ""}.items():
        parser.add_argument(flag, default=default, type=str if flag == "--only" else Path)
    args = parser.parse_args()
    against = args.against and json.loads(args.against.read_text())
    with tempfile.TemporaryDirectory() as name:
        found = fingerprints((args.work or Path(name)).resolve(), args.only)
    if args.out:
        args.out.write_text(json.dumps(found, indent=1) + "\n")
    before = found if against is None else against
    keys = [key for key in {**before, **found} if key.startswith(args.only) and before.get(key) != found.get(key)]
    for key in keys:
        print("missing" if key not in found else "new" if key not in before else "differs", key)
    print(f"{sum(before.get(key) == value for key, value in found.items())} fingerprints equal")
    return bool(keys)


if __name__ == "__main__":
    raise SystemExit(main())
