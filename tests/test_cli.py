"""The command line as a person meets it: help, exit codes, one sentence an error, every verb both ways."""

from __future__ import annotations

import errno
import inspect
import logging
import os
import re
import subprocess
import sys
import threading
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import pytest

from tests.conftest import textured_frame
from youku import cli, system_errors
from youku.__main__ import VERBS, main, usage
from youku.video import y4m

REPO = Path(__file__).parents[1]
NO_SET = "expected a folder of pictures or of a set such as Set5, found nothing"
NO_WEIGHTS = "no such weights file; `python -m youku train` writes runs/NAME/best.safetensors"
HEAVY = {"torch", "pandas", "skimage", "matplotlib", "jinja2", "PIL", "h5py", "scipy"}


def test_no_verb_prints_the_list_and_exits_2(capsys: pytest.CaptureFixture) -> None:
    """The bare command shows every verb."""
    assert main([]) == 2
    assert all(f"  {verb}" in usage() for verb in VERBS) and usage() in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "status", "sentence"),
    [
        ("trian", 2, "error: no verb 'trian'; did you mean train?"),
        ("xyzzy", 2, f"error: no verb 'xyzzy'; expected one of {', '.join(VERBS)}"),
        ("train --stepz=3", 2, "error: no flag --stepz; did you mean --steps?"),
        ("train --recipe overnite", 1, "error: recipe 'overnite': did you mean overnight? (or a path ending in .toml)"),
        ("train --recipe 1hour", 1, "error: recipe '1hour': did you mean 1h? (or a path ending in .toml)"),
        ("train --model edsr-basline", 1, "error: model 'edsr-basline': did you mean edsr-baseline?"),
        (
            "convert a.y4m memory://bucket/b.y4m",
            1,
            "error: memory://bucket/b.y4m: expected one of s3://, oss://, gs://, az://, https://, http://, file://, or a path",
        ),
        ("predict a b --model pairs-z", 2, "error: --model 'pairs-z': did you mean pairs-t?"),
        ("degrade a b --preset yuku", 2, "error: --preset 'yuku': did you mean youku?"),
        ("degrade a b --scale 7", 2, "error: --scale 7: expected one of 2, 3, 4"),
        ("predict low.y4m ", 2, "error: an argument is empty; write a value, or leave it out"),
        ("train --fold ", 2, "error: --fold is empty; write a value, or leave it out"),
        ("train --fold= --batch 2", 2, "error: --fold is empty; write a value, or leave it out"),
        ("predict --helpp", 2, "error: no flag --helpp; did you mean --help?"),
        (
            "predict --weights A low.y4m --batch 2",
            2,
            "error: OUT is missing; write python -m youku predict low.y4m OUT --weights A --batch 2",
        ),
        ("predict --weights gone IN --weights B C OUT", 1, f"error: gone: {NO_WEIGHTS}"),
        ("evaluate --protocol all absent --weights gone B", 1, f"error: gone: {NO_WEIGHTS}"),
        ("predict --model bicubic --deinterlace IN OUT", 1, "error: IN: no such file or folder; check the path"),
        (
            "predict --weights A low.y4m --weights B",
            2,
            "error: OUT is missing; write python -m youku predict low.y4m OUT --weights A --weights B",
        ),
        ("train --lr-factors last=1 --lr-factors last=2", 1, "error: lr_factors: expected each of them once"),
        ("train --model vdsr --scales 2,3,2", 1, "error: scales = '2,3,2': expected each of them once"),
        (
            "experiment --data t91 l1-against-l3",
            1,
            "error: experiment 'l1-against-l3': did you mean l1-against-l2? (or a path ending in .toml)",
        ),
        ("evaluate --protocol y_crop_s absent --truth no", 1, f"error: no: {NO_SET}"),
        ("predict a b --qqq", 2, "error: no flag --qqq; `python -m youku predict --help` says what there is"),
        (
            "train --fold 1/5 --val-clips 3",
            2,
            "usage: python -m youku train [flags]\n"
            "error: --fold 1/5 and --val-clips both say what is held out; drop one",
        ),
        (
            "predict",
            2,
            "usage: python -m youku predict [flags] IN OUT\n"
            "error: the following arguments are required: IN, OUT; `python -m youku predict --help` says what there is",
        ),
    ],
)
def test_a_mistyped_name_is_answered_in_one_line(
    line: str, status: int, sentence: str, capsys: pytest.CaptureFixture
) -> None:
    """With the nearest name, or else with what there is; never with the usage of every flag."""
    try:
        assert main(line.split(" ")) == status
    except SystemExit as ended:
        assert ended.code == status
    assert capsys.readouterr().err == sentence + "\n"


def test_the_help_of_train_fits_two_screens(capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 50 lines and 120 columns; the common flags come first, then those of each group."""
    monkeypatch.setenv("COLUMNS", "120")
    with suppress(SystemExit):
        main(["train", "--help"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 100 and max(map(len, lines)) <= 120
    flags = [line.split()[0] for line in lines if line.startswith("  --")]
    assert flags[:7] == ["--recipe", "--list", "--resume", "--data", "--name", "--model", "--scale"]
    assert len(flags) > 50 and sum(line.endswith(":") for line in lines) == 7


def test_the_help_of_experiment_shows_its_own(capsys: pytest.CaptureFixture) -> None:
    """Its own flags, then those of train in the same groups, without defaults that its file may replace."""
    with suppress(SystemExit):
        main(["experiment", "--help"])
    lines = capsys.readouterr().out.splitlines()
    flags = [line.split()[0] for line in lines if line.startswith("  --")]
    assert flags[:5] == ["--list", "--json", "--runs", "--data", "--val-data"] and len(flags) > 50
    assert "--name" not in flags and not any("default" in line for line in lines)
    assert sum(line.endswith(":") for line in lines if not line.startswith(" ")) == 8


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(verb: str, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """`youku VERB --help` exits 0, has an example, and says in 120 columns what a flag takes by more than its name."""
    monkeypatch.setenv("COLUMNS", "120")
    with pytest.raises(SystemExit) as caught:
        main([verb, "--help"])
    assert caught.value.code == 0
    out = capsys.readouterr().out
    assert re.search(rf"^(Run: |    )python -m youku {verb}", out, re.MULTILINE) and len(out.splitlines()) > 8
    assert not [line for line in out.splitlines() if line.startswith("  -") and len(line) > 120]
    taken = re.findall(r"^  --(\S+) ([A-Z_]+)", out, re.MULTILINE)
    assert not [flag for flag, word in taken if word != "NAME" and flag.upper().replace("-", "_") == word]


def test_help_and_the_list_of_networks_load_nothing_heavy() -> None:
    """--help of every verb, a mistyped verb and `models` begin at once: torch alone takes a second to load."""
    code = f"""
import contextlib, io, sys
from youku.__main__ import VERBS, main
for arguments in ([], ["trian"], ["models"], ["models", "--scale", "3", "--json"], *([verb, "--help"] for verb in VERBS)):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        with contextlib.suppress(SystemExit):
            main(arguments)
    print(arguments, {HEAVY} & sys.modules.keys())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPO)
    lines = done.stdout.splitlines()
    assert len(lines) == 4 + len(VERBS)
    assert [line for line in lines if not line.endswith("set()")] == []


@pytest.mark.parametrize(
    ("arguments", "unused"),
    [
        ("convert a.y4m b.yuv", HEAVY | {"av", "h5py", "youku.video.container", "youku.video.pictures"}),
        (
            "predict a.y4m b.y4m --device cpu",
            {
                *("av", "youku.training", "youku.exchange", "youku.engines.published", "youku.models.srcnn"),
                *("youku.stores", "youku.cluster", "youku.video.pictures", "youku.inference.evaluation"),
            },
        ),
        (
            "train --data . --steps 1 --patch-px 8 --batch 1 --val-metric psnr --no-samples --device cpu",
            {
                *(f"youku.training.{name}" for name in ("gan", "vgg", "teacher", "picture_pair", "transfer")),
                *(f"youku.training.{name}" for name in ("captured", "resident", "distributed")),
                *("youku.models.discriminators", "youku.models.srcnn", "youku.stores", "youku.cluster"),
            },
        ),
    ],
)
def test_a_y4m_needs_no_rooms_of_others(arguments: str, unused: set[str], tmp_path: Path) -> None:
    """What an input, a flag or a loss asks for loads when it does; converting needs no torch either."""
    low, high = y4m.make_header(32, 16), y4m.make_header(128, 64)
    pairs = {
        f"Youku_{number:05d}_{kind}.y4m": header for number in (0, 1) for kind, header in (("l", low), ("h_GT", high))
    }
    for name, header in {"a.y4m": low, **pairs}.items():
        with y4m.create(tmp_path / name, header) as writer:
            writer.write(textured_frame(header, 0))
    code = (
        f"import sys\nfrom youku.__main__ import main\nprint(main({arguments.split()}), {unused} & sys.modules.keys())"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPO)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.stdout.splitlines()[-1:] == ["0 set()"], done.stderr


@pytest.mark.parametrize("verb", VERBS)
def test_every_module_of_the_table_has_a_main(verb: str) -> None:
    """The table names modules by hand: each is there, also as `python -m`, and takes the arguments after the verb."""
    module = import_module(f"youku.{VERBS[verb][0]}")
    assert list(inspect.signature(module.main).parameters) == ["argv"]
    assert 'if __name__ == "__main__":' in Path(str(module.__file__)).read_text()


@pytest.mark.parametrize("verb", VERBS)
def test_abbreviated_flags_are_usage_errors(verb: str) -> None:
    """--hel is not --help: exit 2."""
    with pytest.raises(SystemExit) as caught:
        main([verb, "--hel"])
    assert caught.value.code == 2


@pytest.mark.parametrize("module", ["youku", "youku.train"])
def test_the_package_imports_nothing(module: str) -> None:
    """`import youku` does not load torch or numpy; nor does what prints the flags of train."""
    code = f"import sys, {module}; sys.exit(any(name in sys.modules for name in ('torch', 'numpy')))"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=REPO).returncode == 0


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "permission denied"),
        (errno.ENOENT, "no such file"),
        (errno.ENOTDIR, "expected a folder"),
        (errno.EIO, os.strerror(errno.EIO)),
        (errno.EFBIG, "ulimit -f"),
        (errno.EDQUOT, "quota"),
        (errno.EMFILE, "ulimit -n"),
        (errno.ENAMETOOLONG, "255 bytes"),
        (errno.EAGAIN, "ulimit -u"),
    ],
)
def test_system_errors_are_one_sentence(number: int, words: str, capsys: pytest.CaptureFixture) -> None:
    """Which file, what happened, what to do; exit 1, no traceback."""

    def action(_: object) -> int:
        raise OSError(number, os.strerror(number), "/some/file")

    assert cli.Verb("x", "doc", lambda _: None, action)([]) == 1
    err = capsys.readouterr().err
    assert err.startswith("error: /some/file: ") and words in err and err.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError("Unable to allocate 5 GiB"), "not enough memory"),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
            "not enough memory",
        ),
        (RuntimeError("std::bad_alloc"), "not enough memory"),
        (RuntimeError("could not create a primitive"), "not enough memory"),
        (RuntimeError("Symlink loop from 'a/b'"), "a/b: its links lead in a circle"),
        (ImportError("libtorch.so: failed to map segment from shared object"), "not enough memory"),
        (RuntimeError("can't start new thread"), "can't start another thread"),
        (RuntimeError("I/O error: No space left on device (os error 28)"), "the disk is full"),
    ],
)
def test_system_errors_in_the_words_of_libraries(
    error: Exception, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Memory, threads and disks are told alike, whatever kind of error a library made of them."""

    def action(_: object) -> int:
        raise error

    assert cli.Verb("x", "doc", lambda _: None, action)([]) == 1
    err = capsys.readouterr().err
    assert err.startswith(f"error: {words}") and err.count("\n") == 1


@pytest.mark.parametrize(
    ("streams", "words"),
    [
        (">&-", "stdin or stdout is closed"),
        (">/dev/full", "the disk is full"),
        ("--help >/dev/full", "the disk is full"),
        ("<&- >/dev/null 2>&-", ""),
        (">/dev/null 2>&-", ""),
    ],
)
def test_closed_streams(streams: str, words: str) -> None:
    """What was found and cannot be told is an error of one sentence; a closed stdin or stderr hurts nothing."""
    line = f'"{sys.executable}" -m youku models {streams}'
    done = subprocess.run(["sh", "-c", line], stderr=subprocess.PIPE, text=True, check=False, cwd=REPO)
    assert done.returncode == (1 if words else 0)
    assert words in done.stderr and done.stderr.count("\n") == (1 if words else 0)


def test_a_current_folder_that_is_gone(tmp_path: Path) -> None:
    """One sentence, not those of the libraries that look for themselves there."""
    (tmp_path / "gone").mkdir()
    line = f'rmdir "{tmp_path}/gone"; "{sys.executable}" -m youku models'
    how = {"cwd": tmp_path / "gone", "env": {**os.environ, "PYTHONPATH": str(REPO)}}
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False, **how)
    assert (done.returncode, done.stderr) == (
        1,
        "error: the current folder is no longer there; change into another one\n",
    )


@pytest.mark.parametrize("kib", [400000, 600000])
def test_too_little_memory_to_begin(kib: int) -> None:
    """`ulimit -v` that not even torch fits into is one sentence, also where its libraries would end the process."""
    line = f'ulimit -v {kib}; "{sys.executable}" -m youku models fsrcnn'
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False, cwd=REPO)
    assert done.returncode == 1 and done.stderr.startswith("error: not enough memory") and done.stderr.count("\n") == 1


def test_too_few_threads_to_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network whose threads cannot all be started does not begin: OpenMP would end the process with its own words."""
    started, start = [], threading.Thread.start

    def refuse_second(thread: threading.Thread) -> None:
        started.append(thread)
        if len(started) > 1:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse_second)
    with pytest.raises(RuntimeError) as caught:
        system_errors.require_threads()
    assert "ulimit -u" in system_errors.explain(caught.value)
    started[0].join(5)
    assert not started[0].is_alive()  # whatever became of the others


@pytest.mark.parametrize("verb", ["submit", "convert"])
def test_a_bare_verb_that_needs_arguments_is_a_usage_error(verb: str, capsys: pytest.CaptureFixture) -> None:
    """Exit 2 and the usage line, as argparse does for what it can check itself."""
    with pytest.raises(SystemExit) as caught:
        main([verb])
    assert caught.value.code == 2
    assert "usage: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (
            "degrade a.y4m out.mp4",
            "out.mp4: is named like a file, and a folder is made; leave .mp4 out, or end it in /",
        ),
        ("submit . --name x --low . --test-set 0 --out s.zip", "s.zip: is named like a file"),
        ("score . --low . --high . --test-set 0 --out score.json", "score.json: is named like a file"),
        ("evaluate . --scale 2 --model bicubic --save e.png", "e.png: is named like a file"),
        ("report . --out r.pdf", "--out r.pdf: expected a name that ends in .html"),
    ],
)
def test_an_output_named_as_another_kind(
    line: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder named like a file, a page like a PDF: said before the work, and nothing is made."""
    monkeypatch.chdir(tmp_path)
    with suppress(SystemExit):
        assert main(line.split()) == 1
    assert words in capsys.readouterr().err and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("verb", ["predict", "convert", "degrade"])
def test_a_text_file_is_no_video(verb: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """One sentence that says what the file is not, and exit 1."""
    (tmp_path / "notes.txt").write_text("hello")
    target = tmp_path / ("out" if verb == "degrade" else "out.y4m")
    assert main([verb, str(tmp_path / "notes.txt"), str(target)]) == 1
    assert "neither a y4m clip nor a video that ffmpeg reads" in capsys.readouterr().err


@pytest.mark.parametrize(
    "line",
    ["inspect P", "compare P P --out o.mp4", "predict P o.y4m", "predict P.y4m -", "convert P o.y4m", "convert o.y4m P",
     "degrade P o", "score P --low P --high P --test-set 0-0", "train --data P", "evaluate o --weights o P", "curves P",
     "inspect /dev/null", "predict o.y4m /dev/null", "convert o.y4m /dev/null"],
)  # fmt: skip
def test_a_pipe_or_device_by_its_name_is_an_error(line: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """Without a writer, or a reader, it would be waited for forever: each verb says so at once, whatever it is called."""
    for name in ("pipe", "pipe.y4m"):
        os.mkfifo(tmp_path / name)
    words = [word.replace("P", str(tmp_path / "pipe")) for word in line.split()]
    assert main(words) == 1 and "is a pipe or a device; name a file, or -" in capsys.readouterr().err


def test_pipes_in_a_folder_are_not_waited_for(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """Among clips one is an error that names it, among pictures it is passed over."""
    os.mkfifo(tmp_path / "Youku_00000_l.y4m")
    assert main(["predict", str(tmp_path), str(tmp_path / "out")]) == 1
    assert "Youku_00000_l.y4m: expected a clip" in capsys.readouterr().err
    (tmp_path / "set").mkdir()
    os.mkfifo(tmp_path / "set" / "0.png")
    assert main(["evaluate", str(tmp_path / "set"), "--model", "bicubic"]) == 1
    assert "no pictures" in capsys.readouterr().err


REPEATED = {
    "train": ("--data a --val-data x --data=b --data c d --val-data y", {"data": list("abcd"), "val_data": ["x", "y"]}),
    "evaluate": ("s --protocol all --protocol vid4", {"protocol": ["all", "vid4"]}),
    "predict": ("i o --weights a --weights b c", {"weights": ["a", "b", "c"]}),
}


ORDERS = {
    "predict": [
        ("--weights A i --weights B o", "i o --weights A --weights B"),
        ("--weights A i --weights B C o", "i o --weights A --weights B C"),
        ("--weights A i --batch 2 --weights B o", "i o --weights A --batch 2 --weights B"),
        ("--weights A B i o", "i o --weights A B"),
        ("--deinterlace i o", "i o --deinterlace"),
        ("i --deinterlace all o", "i o --deinterlace all"),
    ],
    "evaluate": [("--weights A B s --protocol all vid4", "s --weights A B --protocol all vid4")],
    "compare": [("a b --out o --labels x,y,z c", "a b c --out o --labels x,y,z")],
    "degrade": [("a --scale 2 b --seed 1 out", "a b out --scale 2 --seed 1")],
    "experiment": [("--data a name --val-data b", "name --data a --val-data b")],
}


@pytest.mark.parametrize(("verb", "given", "meant"), [(verb, *one) for verb in ORDERS for one in ORDERS[verb]])
def test_positionals_behind_a_list_are_none_of_it(verb: str, given: str, meant: str) -> None:
    """However often the flag is given; what it chooses from stays with it. What was meant stays as it is."""
    parser = import_module(f"youku.{verb}").main.parser()
    assert parser.in_order(given.split()) == parser.in_order(meant.split()) == meant.split()


@pytest.mark.parametrize("verb", REPEATED)
def test_a_repeated_list_gathers_its_values(verb: str) -> None:
    """However it is given; what is the default is no value of it."""
    parser = import_module(f"youku.{verb}").main.parser()
    line, values = REPEATED[verb]
    assert vars(parser.parse_args(line.split())).items() >= values.items()


def test_a_repeated_value_is_said(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """The last one holds, as where a Makefile's comes before one's own."""
    line = f"train --data {tmp_path}/gone --seed 3 --seed=5"
    assert main(line.split()) == 1
    assert capsys.readouterr().err.startswith("--seed is given more than once; the last one holds\nerror: ")


def test_a_file_whose_name_begins_with_a_dash_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """How it is written, rather than that there is no such flag."""
    monkeypatch.chdir(tmp_path)
    Path("-take.y4m").touch()
    with pytest.raises(SystemExit):
        main(["predict", "-take.y4m", "out.y4m"])
    assert capsys.readouterr().err == "error: no flag -take.y4m; the file of that name is ./-take.y4m\n"


def test_ctrl_c_is_130(capsys: pytest.CaptureFixture) -> None:
    """An interrupt says what is kept and what the same command does next."""

    def action(_: object) -> int:
        raise KeyboardInterrupt

    assert cli.Verb("x", "doc", lambda _: None, action)([]) == 130
    assert capsys.readouterr().err == f"stopped by Ctrl-C; {cli.ANEW}\n"


def test_bugs_are_not_dressed_as_user_errors() -> None:
    """A programming error keeps its traceback."""

    def action(_: object) -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        cli.Verb("x", "doc", lambda _: None, action)([])


def test_a_log_gets_lines_instead_of_a_bar(capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """One every ten seconds, so none of a short run; nothing is drawn over, and none is empty."""
    assert list(cli.watch(range(3), "a.y4m", 3)) == [0, 1, 2]
    with cli.bar(total=3, is_shown=False) as bar:
        bar.update()
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(cli, "LOG_SEC", 0)
    with cli.bar(total=4, desc="score", unit="frame", mininterval=0, leave=False) as bar:
        bar.update(2)
        bar.set_postfix_str("1/2 a.y4m")
    told = capsys.readouterr().err
    assert told.endswith("\n") and not set("\r█") & set(told) and "" not in told.splitlines()
    assert any(line.startswith("score:  50%") and "2/4" in line and "1/2 a.y4m" in line for line in told.splitlines())


@pytest.mark.parametrize("name", ["a\nb", "\x1b[31mred", "c\r\t\x9b1m", b"\xffd".decode(errors="surrogateescape")])
def test_a_name_never_acts_on_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, name: str
) -> None:
    """Errors, usage errors, warnings, bars, what is said and what was made: each is one line with the name escaped."""
    monkeypatch.chdir(tmp_path)
    header = y4m.make_header(16, 16)
    with y4m.create(f"{name}.y4m", header) as writer:
        writer.write(textured_frame(header, 0))
    for words, status in (
        (["predict", f"{name}.y4m", f"{name}.o.y4m", "--model", "bicubic"], 0),
        (["convert", f"{name}.y4m", f"{name}.yuv"], 0),
        (["inspect", f"{name}.mp4"], 1),
        (["evaluate", name], 1),
        (["convert", f"{name}.y4m", "o.y4m", name], 2),
    ):
        try:
            got = main(words)
        except SystemExit as end:
            got = int(str(end.code))
        assert got == status
        said = "".join(capsys.readouterr())
        assert ascii(name)[1:-1] in said
        assert all(line.isprintable() for line in said.replace("\r", "\n").split("\n")), said


def test_what_rooms_warn_of_is_one_line() -> None:
    """The handler of last resort, which writes them to stderr, escapes as `say` does."""
    assert cli.guard(lambda: 0, "inspect", is_process=False) == 0
    assert logging.lastResort is not None
    record = logging.LogRecord("youku", logging.WARNING, "", 0, "%s: odd", ("a\nb\x1b",), None)
    assert logging.lastResort.format(record) == "a\\nb\\x1b: odd"
