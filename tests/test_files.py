"""Files appear whole or not at all; disk full, read-only and blocked paths are one sentence."""

from __future__ import annotations

import errno
import math
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from youku import files, leftovers
from youku.__main__ import main
from youku.video import segments, y4m


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    """An error in the middle leaves the old content and no temporary file."""
    path = tmp_path / "a b \u6587\u4ef6.bin"
    with files.atomic_write(path) as file:
        file.write(b"old")
    with pytest.raises(RuntimeError), files.atomic_write(path) as file:
        file.write(b"new but broken")
        raise RuntimeError
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def _leftover(folder: Path, **changes: str) -> Path:
    """A temporary file as this process would leave it, parts of its name changed."""
    with files.atomic_path(folder / "a.bin") as temporary:
        name = temporary.name
    machine, boot, pid, start, number = name.split(".")[3].split("-")
    given = {"machine": machine, "boot": boot, "pid": pid, "start": start, **changes}
    path = folder / name.replace(f"{machine}-{boot}-{pid}-{start}-{number}", "-".join([*given.values(), "777"]))
    path.write_bytes(b"half")
    files.begin_run()
    return path


def _gone_pid() -> str:
    with subprocess.Popen(["true"]) as process:
        process.wait()
    return str(process.pid)


@pytest.mark.parametrize(
    "changes", [{"pid": _gone_pid()}, {"start": "1"}, {"boot": "0" * 8}, {"pid": "1", "start": "7"}]
)
def test_leftovers_of_a_killed_run_go(tmp_path: Path, changes: dict[str, str]) -> None:
    """No such process, another one of the same number, or another boot: the next writer removes it, folders too."""
    left = _leftover(tmp_path, **changes)
    folder = left.with_name(left.name.replace("-777.", "-778."))
    folder.mkdir()
    (folder / "x").touch()
    files.write_json(tmp_path / "b.json", 1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.bin", "b.json"]


def test_files_of_a_live_run_stay(tmp_path: Path) -> None:
    """A live writer's, another machine's of this week, and hidden records of whatever name are not touched."""
    live, foreign = _leftover(tmp_path), _leftover(tmp_path, machine="0" * 8)
    others = [tmp_path / name for name in (".a.bin.json", ".a.tmp.y4m", ".a.12345678.tmp", ".nfs0001")]
    for path in others:
        path.write_bytes(b"kept")
    files.write_json(tmp_path / "b.json", 1)
    assert all(path.exists() for path in (live, foreign, *others))
    os.utime(foreign, (0, 0))
    files.begin_run()
    files.write_json(tmp_path / "b.json", 1)
    assert live.exists() and not foreign.exists()


KILLED = """
import os, sys
from pathlib import Path
from youku.video import segments
with segments.keep(Path(sys.argv[1], "out.mkv"), "0123456789ab", 1) as kept:
    (kept.folder / segments.FRAMES).write_bytes(b"half")
    (kept.folder / segments.PARTS).mkdir()
    path = kept.folder / sys.argv[2]
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"something")
    os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize(
    ("name", "is_left"),
    [("tail.tmp", True), ("tile_px.json", True), ("parts/.0.y4m.ba9876543210.part/frames.y4m", True),
     ("0.48.digest.segment", False), ("frames.json", False), ("parts/0.y4m", False),
     ("parts/.0.y4m.ba9876543210.part/frames.json", False)],
)  # fmt: skip
def test_a_killed_film_without_a_finished_part_goes(tmp_path: Path, name: str, is_left: bool) -> None:
    """With whatever is written beside it next; what the same command goes on after stays."""
    (out := tmp_path / "out").mkdir()
    assert subprocess.run([sys.executable, "-c", KILLED, str(out), name]).returncode == -9
    (folder,) = out.iterdir()
    assert (folder / name).exists()
    files.begin_run()
    files.write_json(out / "another.json", 1)
    assert folder.exists() != is_left


@pytest.mark.parametrize("writer", [None, "", "live", "foreign"])
def test_a_film_of_a_live_run_stays(tmp_path: Path, writer: str | None) -> None:
    """Before its first part too; that of another machine, or of a writer who is not known, for a week."""
    folder = tmp_path / ".out.mkv.0123456789ab.part"
    with leftovers.locked(files.make_folder(folder) / leftovers.LOCK):
        token = (folder / leftovers.LOCK).read_text()
        files.begin_run()
        files.write_json(tmp_path / "a.json", 1)
        assert folder.exists()
    if writer is not None:
        (folder / leftovers.LOCK).write_text({"live": token, "foreign": f"{'0' * 8}{token[8:]}"}.get(writer, ""))
    files.begin_run()
    files.write_json(tmp_path / "a.json", 1)
    assert folder.exists()
    for path in (folder / leftovers.LOCK, folder):
        if path.exists():
            os.utime(path, (0, 0))
    files.begin_run()
    files.write_json(tmp_path / "a.json", 1)
    assert folder.exists() == (writer == "live")


def test_a_killed_film_that_is_gone_on_with_stays(tmp_path: Path) -> None:
    """Its lock still says who was killed; the next run holds it already."""
    folder = files.make_folder(tmp_path / ".out.mkv.0123456789ab.part")
    with leftovers.locked(folder / leftovers.LOCK):
        token = (folder / leftovers.LOCK).read_text().split("-")
        (folder / leftovers.LOCK).write_text("-".join([*token[:2], _gone_pid(), token[3]]))
        files.begin_run()
        files.write_json(tmp_path / "a.json", 1)
        assert folder.exists()
    (folder / leftovers.LOCK).write_text("-".join([*token[:2], _gone_pid(), token[3]]))
    files.begin_run()
    files.write_json(tmp_path / "a.json", 1)
    assert not folder.exists()


def test_no_output_is_an_input(tmp_path: Path) -> None:
    """Whatever its name: a detour, a link of either kind, the bytes stay."""
    (tmp_path / "sub").mkdir()
    source = tmp_path / "in.y4m"
    source.write_bytes(b"mine")
    (tmp_path / "hard.y4m").hardlink_to(source)
    (tmp_path / "soft.y4m").symlink_to(source)
    files.begin_run()
    files.protect(*tmp_path.iterdir(), "-", "/dev/null", None, tmp_path / "nothing")
    for name in ("in.y4m", "sub/../in.y4m", "hard.y4m", "soft.y4m"):
        with pytest.raises(ValueError, match="inputs are never overwritten"), files.atomic_path(tmp_path / name):
            raise AssertionError
    with files.atomic_write(tmp_path / "out.y4m") as file:
        file.write(b"new")
    assert source.read_bytes() == b"mine"
    files.begin_run()
    files.write_json(source, 1)


def test_too_long_a_name_is_said_before_the_work(tmp_path: Path) -> None:
    """255 bytes are written, also of wide letters; 256 are refused at once; a folder's name too."""
    files.write_json(tmp_path / ("\u6587" * 85), 1)
    for path, number in ((tmp_path / ("a" * 256), errno.ENAMETOOLONG), (tmp_path, errno.EISDIR)):
        with pytest.raises(OSError) as caught, files.atomic_path(path):
            raise AssertionError
        assert caught.value.errno == number and caught.value.filename == str(path)


def test_what_a_library_makes_of_a_full_disk(tmp_path: Path) -> None:
    """EFBIG behind a RuntimeError is told as itself, with the file's name; any other error stays as it is."""
    code = (
        "import resource, sys\nfrom youku import files\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try:\n    with files.atomic_path(sys.argv[1]) as temporary:\n        raise RuntimeError('unexpected pos')\n"
        "except OSError as error: print(error.errno, error.filename)"
    )
    line = [sys.executable, "-c", code, str(tmp_path / "w.pt")]
    done = subprocess.run(line, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1])
    assert done.stdout.split() == [str(errno.EFBIG), str(tmp_path / "w.pt")]
    with pytest.raises(RuntimeError), files.atomic_path(tmp_path / "w.pt"):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_mode_follows_the_umask(tmp_path: Path) -> None:
    """Files are readable like any other, not 0600 as temporary files are."""
    with files.atomic_write(tmp_path / "x") as file:
        file.write(b"1")
    mask = os.umask(0)
    os.umask(mask)
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o666 & ~mask


def test_a_file_where_a_folder_is_expected(tmp_path: Path) -> None:
    """One sentence, whether the file is the folder or its parent."""
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ValueError, match="expected a folder, found a file"):
            files.make_folder(folder)


def test_json_round_trip_and_damage(tmp_path: Path) -> None:
    """What was written is read; damage names the file."""
    files.write_json(tmp_path / "a.json", {"name": "\u4f18\u9177", "n": [1, 2]})
    assert files.read_json(tmp_path / "a.json") == {"name": "\u4f18\u9177", "n": [1, 2]}
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(ValueError, match=r"a\.json: expected JSON"):
        files.read_json(tmp_path / "a.json")


def test_free_space_is_checked_before_the_work(tmp_path: Path) -> None:
    """The message says how much is needed and how much there is, for a folder that does not exist yet."""
    with pytest.raises(ValueError, match=r"this needs 1000000\.00 GB, the disk has"):
        files.require_free(tmp_path / "not" / "yet", 10**15, "this")
    files.require_free(tmp_path, 1, "this")


def test_sha256_of_a_known_text(tmp_path: Path) -> None:
    """FIPS 180-4's example."""
    (tmp_path / "abc").write_bytes(b"abc")
    assert files.sha256(tmp_path / "abc").startswith("ba7816bf8f01cfea414140de5dae2223")


@pytest.fixture
def small_disk(tmp_path: Path):
    """A file system of one megabyte, where this user may mount one."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a small tmpfs needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_disk_full_leaves_nothing(
    small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """predict onto a full disk: one sentence, exit 1, no half file; refused before the work where the size is known."""
    header = y4m.make_header(160, 120)
    with y4m.create(tmp_path / "in.y4m", header) as writer:
        for _ in range(8):
            writer.write(tuple(np.zeros(shape, "u1") for shape in header.plane_shapes))
    assert main(["predict", str(tmp_path / "in.y4m"), str(small_disk / "out.y4m")]) == 1
    error = capsys.readouterr().err
    assert "out.y4m of 8 frames needs 3.69 MB, the disk has" in error and "free some space" in error
    assert list(small_disk.iterdir()) == []
    monkeypatch.setattr(files, "free_bytes", lambda folder: 1 << 40)  # it fills while the frames are written
    monkeypatch.setattr(segments, "SAVE_EVERY_SEC", math.inf)  # before the first second is over
    assert main(["predict", str(tmp_path / "in.y4m"), str(small_disk / "out.y4m")]) == 1
    error = capsys.readouterr().err
    assert "the disk is full" in error and "Traceback" not in error
    assert list(small_disk.iterdir()) == []
    monkeypatch.setattr(segments, "SAVE_EVERY_SEC", -1.0)  # later: whole frames are kept to go on from, as after a stop
    assert main(["predict", str(tmp_path / "in.y4m"), str(small_disk / "out.y4m")]) == 1
    error = capsys.readouterr().err
    assert "out.y4m: the disk is full" in error and re.search(r"out\.y4m: [12] frames? kept", error), error
    (kept,) = small_disk.iterdir()
    assert kept.name.startswith(".out.y4m.") and kept.suffix == ".part"


def test_read_only_output_is_one_sentence(small_disk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """predict into a read-only file system says so and exits 1."""
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    header = y4m.make_header(16, 16)
    with y4m.create(tmp_path / "in.y4m", header) as writer:
        writer.write(tuple(np.zeros(shape, "u1") for shape in header.plane_shapes))
    assert main(["predict", str(tmp_path / "in.y4m"), str(small_disk / "out.y4m")]) == 1
    error = capsys.readouterr().err
    assert "read-only" in error and "Traceback" not in error


@pytest.mark.parametrize(
    "text", ["{", "[" * 100_000, '{"a":' * 50_000, "1" * 5000, "\xff", "", "\ufeff{}"], ids=lambda text: text[:3]
)
def test_damaged_json_is_one_sentence(tmp_path: Path, text: str) -> None:
    """Damage of any kind, also nesting too deep and numbers too long, names the file."""
    (tmp_path / "a.json").write_bytes(text.encode("latin-1" if text == "\xff" else "utf-8"))
    with pytest.raises(ValueError, match=r"a\.json: expected JSON, got damage \(.+\); make the file again"):
        files.read_json(tmp_path / "a.json")


SHAPE = {"name": str, "count": int, "rate": (float, None), "on": bool, "rows": [{"id": int}]}
FITTING: dict[str, Any] = {
    "name": "a",
    "count": 1,
    "rate": None,
    "on": True,
    "rows": [{"id": 1, "more": 2}],
    "other": [],
}


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("name", 5, "t.name: expected text, got 5"),
        ("name", "\ud800", "t.name: expected text"),
        ("count", True, "t.count: expected a whole number, got True"),
        ("count", 1.5, "got 1.5"),
        ("count", 10**400, "got a number of too many digits"),
        ("rate", float("nan"), "t.rate: expected a number or null, got nan"),
        ("rate", float("inf"), "got inf"),
        ("rate", 10**400, "too many digits"),
        ("on", 1, "expected true or false"),
        ("rows", {}, "t.rows: expected a list, got an object"),
        ("rows", [{"id": 1}, {}], "t.rows[1]: 'id' is missing"),
        ("rows", [{"id": []}], "t.rows[0].id: expected a whole number, got a list"),
    ],
)
def test_require_names_the_place(key: str, value: Any, words: str) -> None:
    """What fits passes; each value of another type, range or length is one sentence with its place in the file."""
    files.require(FITTING, SHAPE, "t")
    with pytest.raises(ValueError) as caught:
        files.require(FITTING | {key: value}, SHAPE, "t")
    assert words in str(caught.value)


WRITERS = {
    "predict": ["predict", "in.y4m", "OUT.y4m", "--force"],
    "predict stdin": ["predict", "-", "OUT.y4m", "--force"],
    "convert": ["convert", "in.y4m", "OUT.y4m"],
    "convert video": ["convert", "film.mkv", "OUT.mkv"],
    "convert audio": ["convert", "in.y4m", "OUT.mkv", "--audio", "film.mkv"],
    "convert pictures": ["convert", "pics", "pics", "--force"],
    "compare": ["compare", "in.y4m", "in.y4m", "--frame", "0", "--out", "OUT.png"],
    "inspect": ["inspect", "in.y4m", "--png", "OUT.png"],
    "curves": ["curves", "run", "--png", "OUT.png"],
    "train": ["train", "--recipe", "run/config.toml", "--name", "run", "--runs", ".", "--data", "."],
}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("link", ["detour", "soft", "hard"])
def test_no_verb_overwrites_its_input(
    name: str, link: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever the output is called, also with --force: one sentence, and every file is as it was."""
    monkeypatch.chdir(tmp_path)
    header = y4m.make_header(32, 32)
    with y4m.create("in.y4m", header) as writer:
        writer.write(tuple(np.zeros(shape, "u1") for shape in header.plane_shapes))
    for folder in ("pics", "run", "sub"):
        Path(folder).mkdir()
    from PIL import Image

    Image.new("RGB", (32, 32)).save("pics/000001.png")
    Path("film.mkv").write_bytes(b"a film")
    Path("run/config.toml").write_text('model = "fsrcnn"\n')
    Path("run/log.jsonl").write_text('{"step": 1, "loss": 1.0}\n')
    line = list(WRITERS[name])
    source = {"convert video": "film.mkv", "convert audio": "film.mkv", "curves": "run/log.jsonl"}.get(name, "in.y4m")
    for index, word in enumerate(line):
        if word.startswith("OUT"):
            line[index] = f"sub/../{source}" if link == "detour" and source.endswith(word[3:]) else word
            if link != "detour" or line[index] == word:
                make = Path(word).symlink_to if link == "soft" else Path(word).hardlink_to
                make(Path(source).absolute())
    if name == "predict stdin":
        monkeypatch.setattr(os, "fstat", lambda _: Path("in.y4m").stat())
    before = {path: path.read_bytes() for path in sorted(tmp_path.rglob("*")) if path.is_file()}
    try:
        status = main(line)
    except SystemExit as error:
        status = int(str(error.code))
    assert status in (1, 2)
    assert "Traceback" not in capsys.readouterr().err
    assert before == {path: path.read_bytes() for path in sorted(tmp_path.rglob("*")) if path.is_file()}


def test_training_on_a_full_disk(small_disk: Path, tmp_path: Path) -> None:
    """Checkpoint and weights: one sentence that names the file, exit 1, no half file."""
    header = y4m.make_header(64, 64)
    (small_disk / "ballast").write_bytes(bytes(1_000_000))
    for clip_id in range(2):
        for kind, side in (("l", 64), ("h_GT", 256)):
            with y4m.create(tmp_path / f"Youku_{clip_id:05d}_{kind}.y4m", header.resized(side, side)) as writer:
                shapes = writer.header.plane_shapes
                writer.write(tuple(np.random.default_rng(0).integers(0, 255, shape, "u1") for shape in shapes))
    line = [
        "--data",
        str(tmp_path),
        "--runs",
        str(small_disk),
        "--name",
        "n",
        "--steps",
        "2",
        "--batch",
        "1",
        "--val-every",
        "2",
    ]
    line += ["--patch-px", "16", "--device", "cpu", "--save-every", "1"]
    done = subprocess.run([sys.executable, "-m", "youku", "train", *line], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "n/last.pt: the disk is full" in done.stderr and "Traceback" not in done.stderr
    assert not list(small_disk.rglob("*.tmp*")) and not (small_disk / "n" / "last.pt").exists()


def test_too_few_files_may_be_open(tmp_path: Path) -> None:
    """`ulimit -n` so low that no clip can be opened is one sentence."""
    header = y4m.make_header(16, 16)
    with y4m.create(tmp_path / "in.y4m", header) as writer:
        writer.write(tuple(np.zeros(shape, "u1") for shape in header.plane_shapes))
    code = (
        "import os, resource, sys\nfrom youku.__main__ import main\nimport youku.convert\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (20, 20))\nheld = []\n"
        "try:\n    while True: held.append(os.dup(0))\nexcept OSError: pass\n"
        "sys.exit(main(['convert', sys.argv[1], sys.argv[2]]))"
    )
    line = [sys.executable, "-c", code, str(tmp_path / "in.y4m"), str(tmp_path / "out.yuv")]
    done = subprocess.run(line, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[1])
    assert done.returncode == 1 and "too many open files" in done.stderr and done.stderr.count("\n") == 1


def test_a_relative_cache_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """$XDG_CACHE_HOME counts where it is absolute; else the cache of the user's home is taken."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", "here")
    assert files.cache_folder("pace") == tmp_path / ".cache/youku/pace"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "there"))
    assert files.cache_folder("pace") == tmp_path / "there/youku/pace"


@pytest.mark.parametrize("is_inner", [False, True])
def test_errors_name_the_file_that_was_named(is_inner: bool, tmp_path: Path) -> None:
    """Whatever a library says of a temporary file, and of one beside that, it says of the file that it would become."""
    target = tmp_path / "out.mp4"
    for error in (ValueError, OSError):
        with pytest.raises(error) as caught, files.atomic_path(target) as temporary:
            if is_inner:
                with files.atomic_path(temporary) as inner:
                    raise error(f"{inner.absolute()}: no such coder")
            raise error(f"{temporary}: no such coder")
        assert str(caught.value) == f"{target}: no such coder"
    with pytest.raises(FileNotFoundError) as missing, files.temporary_folder(target) as folder:
        (folder / "picture.png").read_bytes()
    assert missing.value.filename == str(target / "picture.png")


def test_a_link_is_replaced(tmp_path: Path) -> None:
    """What it leads to stays, be it a file, a pipe, nothing or itself; a link to an input is refused."""
    (tmp_path / "far").mkdir()
    for name in ("old", "new", "pipe", "input", "loop"):
        (tmp_path / name).symlink_to(name if name == "loop" else Path("far", name))
    for name in ("old", "input"):
        (tmp_path / "far" / name).write_text("kept")
    os.mkfifo(tmp_path / "far" / "pipe")
    for name in ("old", "new", "pipe", "loop"):
        with files.atomic_write(tmp_path / name) as file:
            file.write(b"made")
        assert not (tmp_path / name).is_symlink() and (tmp_path / name).read_text() == "made"
    assert (tmp_path / "far" / "old").read_text() == "kept" and (tmp_path / "far" / "pipe").is_fifo()
    assert not (tmp_path / "far" / "new").exists()
    files.protect(tmp_path / "far" / "input")
    with pytest.raises(ValueError, match="is the input"), files.atomic_write(tmp_path / "input"):
        raise AssertionError


def test_what_stands_in_the_way_of_a_folder_is_said(tmp_path: Path) -> None:
    """A file, or a link that leads nowhere."""
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("/nowhere/at/all")
    for name, found in (("file", "found a file"), ("link", "found a link to nothing")):
        with pytest.raises(ValueError, match=f"{name}: expected a folder, {found}"):
            files.make_folder(tmp_path / name)


def test_a_lock_leaves_nothing_and_has_one_holder(tmp_path: Path) -> None:
    """Of threads that each lock and remove it over and over no two hold it at once, and in the end no file is there."""
    holders, most = list[int](), list[int]()

    def hold(number: int) -> None:
        for _ in range(100):
            with leftovers.locked(tmp_path / "lock"):
                holders.append(number)
                most.append(len(holders))
                time.sleep(1e-5)
                holders.remove(number)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(hold, range(4)))
    assert len(most) == 400 and max(most) == 1 and list(tmp_path.iterdir()) == []
