"""curves: logs of any kind are read, averaged and drawn; damage is one clear sentence."""

from __future__ import annotations

import builtins
import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from youku import curves, look
from youku.pages import plots, run_logs
from youku.pages.plots import Series


def write_run(folder: Path, num_lines: int = 40, scale: float = 1.0, log_every: int = 100) -> Path:
    """A run as `train` writes it: a loss line each `log_every` steps, validation each tenth of them."""
    folder.mkdir(parents=True)
    lines: list[dict[str, Any]] = []
    for index in range(1, num_lines + 1):
        step = log_every * index
        told = {"loss": scale / index, "steps_per_sec": 10.0, "data_wait": 0.01, "lr": 1e-3 / index}
        lines.append({"step": step, **told})
        if index % 10 == 0:
            lines.append({"step": step, "val_psnr": 30 + index / 10, "val_vmaf": 50.0, "val_score": 34.0})
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def test_strides_are_averaged_as_in_the_report(tmp_path: Path) -> None:
    """250 `err:` lines in strides of 100: the means of 1-100, 101-200 and 201-250, at their last steps."""
    path = tmp_path / "train.txt"
    path.write_text("\n".join(f"epoch 1 [{n}/250] err: {n / 1000:.4f} time 0.1" for n in range(1, 251)))
    loss = run_logs.average(run_logs.read_log(path).series["loss"], 100)
    assert loss.steps == [100, 200, 250]
    assert loss.values == pytest.approx([0.0505, 0.1505, 0.2255])
    assert run_logs.last(loss, 2).steps == [200, 250] and run_logs.last(loss, 0) == loss


def test_run_folder_gives_every_quantity(tmp_path: Path) -> None:
    """A folder is its log.jsonl; each key becomes a series at its own steps."""
    log = run_logs.read_log(write_run(tmp_path / "runs/a"))
    assert log.name == "a" and log.series["val_psnr"].steps == [1000, 2000, 3000, 4000]
    assert log.series["loss"].values[3] == 0.25


def test_end_cuts_the_loss_and_nothing_else(tmp_path: Path) -> None:
    """The last 35 means of 40 are shown and the title says so; validation is whole."""
    found = run_logs.plots_of([run_logs.read_log(write_run(tmp_path / "a"))], 100, 35)
    assert [plot.key for plot in found] == ["loss", "val_psnr", "val_vmaf", "val_score", "lr", "steps_per_sec"]
    assert len(found[0].curves["a"].steps) == 35 and "last 35 of 40" in found[0].title
    assert len(found[1].curves["a"].steps) == 4 and len(found[4].curves["a"].steps) == 40


def test_titles_name_the_width_of_the_means(tmp_path: Path) -> None:
    """A line each 500 steps is a mean of 500, also where the last window is short; runs that differ say `or more`."""
    often, seldom = (run_logs.read_log(write_run(tmp_path / str(every), 3, log_every=every)) for every in (100, 500))

    def titles(runs: list[run_logs.RunLog], stride: int | None) -> list[str]:
        titles = {plot.key: plot.title for plot in run_logs.plots_of(runs, stride, 35)}
        return [titles["loss"], titles["steps_per_sec"]]

    assert titles([often], 100) == ["loss, means of 100 steps", "steps per second, means of 100 steps"]
    assert titles([seldom], 100) == ["loss, means of 500 steps", "steps per second, means of 500 steps"]
    assert titles([often], None)[0] == "loss, means of 100 steps"
    brief = run_logs.read_log(write_run(tmp_path / "brief", 60, log_every=2))  # 120 steps
    assert titles([brief], None)[0].startswith("loss, means of 2 steps,")
    each = run_logs.read_log(write_run(tmp_path / "each", 9, log_every=1))
    assert titles([each], None)[0] == "loss"
    assert titles([brief, often], None)[0].startswith("loss, means of 6 steps or more, as logged")
    assert titles([seldom], 1000)[0] == "loss, means of 1000 steps"
    assert titles([often, seldom], 100)[0] == "loss, means of 100 steps or more, as logged"
    assert titles([often, seldom], 500)[0] == "loss, means of 500 steps"
    assert run_logs.plots_of([seldom], 100, 35)[0].curves["500"] == seldom.series["loss"]
    short = tmp_path / "short.jsonl"
    short.write_text('{"step": 500, "loss": 2}\n{"step": 620, "loss": 1}\n')
    assert run_logs.plots_of([run_logs.read_log(short)], 100, 35)[0].title == "loss, means of 500 steps"


def test_a_small_learning_rate_is_not_labelled_zero() -> None:
    """1e-6 has its own label in the picture and in the terminal, at the end of a schedule or throughout."""
    figure = pytest.importorskip("matplotlib.figure").Figure()
    for values in ([1e-3, 5e-4, 1e-6], [1e-6, 1e-6, 1e-6]):
        axes = figure.add_subplot()
        plot = plots.Plot("lr", "learning rate", {"a": Series([1, 2, 3], values)})
        plots.draw_axes(axes, plot, {"a": plots.COLOURS[0]})
        figure.draw_without_rendering()
        labels = [label.get_text() for label in axes.get_yticklabels()]
        assert labels[0].replace("\N{MINUS SIGN}", "-") == "1e-06" and "0" not in labels
        assert any(line.split("|")[0].strip() == "1e-06" for line in plots.text_plot(plot))


def test_patterns_name_their_series(tmp_path: Path) -> None:
    """A named group is a series, `step` places it, an unnamed one is `value`; several series come from one pattern."""
    path = tmp_path / "x.log"
    path.write_text("it 10 PSNR 31.5\nit 20 PSNR 32.5\n")
    named = run_logs.read_log(path, r"it (?P<step>\d+) PSNR (?P<val_psnr>[\d.]+)").series
    assert named == {"val_psnr": Series([10, 20], [31.5, 32.5])}
    assert run_logs.read_log(path, r"PSNR ([\d.]+)").series == {"value": Series([1, 2], [31.5, 32.5])}
    path.write_text("Loss: 1e-3 psnr=30.1\nloss = 5e-4\nval_loss: 3\nloss: nan\n")
    both = run_logs.read_log(path, "(?i)" + run_logs.PATTERN).series
    assert both == {"loss": Series([1, 2], [1e-3, 5e-4]), "val_psnr": Series([1], [30.1])}


def test_a_line_being_written_is_left_for_later(tmp_path: Path) -> None:
    """A torn last line is no damage; the same line in the middle is, and is named."""
    run = write_run(tmp_path / "a", 3)
    text = (run / "log.jsonl").read_text()
    (run / "log.jsonl").write_text(text + '{"step": 400, "lo')
    assert run_logs.read_log(run).series["loss"].steps == [100, 200, 300]
    (run / "log.jsonl").write_text('{"step": 400, "lo\n' + text)
    with pytest.raises(ValueError, match=r"log\.jsonl: line 1 is not JSON"):
        run_logs.read_log(run)


def test_runs_of_one_name_are_told_apart(tmp_path: Path) -> None:
    """By the folder above, and where that is alike too by a number."""
    paths = [write_run(tmp_path / place / "a", 2) for place in ("x", "y")]
    assert [log.name for log in run_logs.read_logs(paths)] == ["x/a", "y/a"]
    assert [log.name for log in run_logs.read_logs([paths[0], paths[0]])] == ["1: x/a", "2: x/a"]


def drawn(
    curves: dict[str, Series], reference: float | None = None, names: tuple[str, ...] = (), plain: bool = False
) -> list[str]:
    return plots.text_plot(plots.Plot("t", "t", curves, reference), names, plain)


def test_a_rising_line_rises_in_braille() -> None:
    """The first column has its dots at the bottom, the last at the top; labels are the extremes."""
    lines = drawn({"a": Series([0, 100], [1.0, 3.0])})
    rows = [line.split("|")[1].ljust(plots.TEXT_WIDTH) for line in lines[1 : 1 + plots.TEXT_HEIGHT]]
    assert rows[0][-1] != " " and rows[-1][0] != " " and rows[0][0] == " " and rows[-1][-1] == " "
    assert all(0x2800 < ord(sign) <= 0x28FF for row in rows for sign in row if sign != " ")
    assert lines[1].split()[0] == "3" and lines[plots.TEXT_HEIGHT].split()[0] == "1"


def test_plain_and_overlaid_plots_are_ascii() -> None:
    """Asked for ASCII, or with several runs, no other sign is used; each run keeps its letter, the line its value."""
    one, two = Series([0, 9], [1.0, 2.0]), Series([0, 9], [4.0, 4.0])
    assert "\n".join(drawn({"a": one}, plain=True)).isascii()
    text = "\n".join(drawn({"x": one, "y": two}, reference=3.0))
    assert text.isascii() and "aa" in text and "bb" in text and "--- " not in text and "3 |---" in text
    assert "b" in "\n".join(drawn({"y": two}, names=("x", "y")))


def test_flat_and_single_points_are_drawn() -> None:
    """One value, or the same value throughout, is a point or a level line, not an error."""
    for one in (Series([5], [1.0]), Series([1, 2], [7.0, 7.0])):
        assert any(ord(sign) > 0x2800 for line in drawn({"a": one}) for sign in line)


def test_command_prints_plots_and_summary(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two runs: a line each with the best validation figure, then a plot each quantity with both letters."""
    paths = [str(write_run(tmp_path / name, 40, scale)) for name, scale in (("first", 1.0), ("second", 2.0))]
    assert curves.main([*paths, "--reference", "37.53"]) == 0
    out = capsys.readouterr().out
    assert "a first" in out and "b second" in out and "34.000" in out and "validation PSNR, dB" in out
    assert "37.53 |---" in out and "learning rate" in out and "steps per second" in out


def test_json_holds_the_averages(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Points as drawn: four losses a mean of 400 steps."""
    assert curves.main([str(write_run(tmp_path / "a")), "--stride", "400", "--end", "0", "--json"]) == 0
    loss = json.loads(capsys.readouterr().out)["runs"][0]["series"]["loss"]
    assert loss["steps"] == list(range(400, 4001, 400))
    assert loss["values"][0] == pytest.approx(math.fsum((1, 1 / 2, 1 / 3, 1 / 4)) / 4)


def test_png_has_a_colour_for_each_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The picture holds the colours of both runs and nothing half-written beside it."""
    pytest.importorskip("matplotlib")
    paths = [str(write_run(tmp_path / name, 40, scale)) for name, scale in (("first", 1.0), ("second", 2.0))]
    assert curves.main([*paths, "--png", str(tmp_path / "out/c.png")]) == 0
    pixels = np.asarray(Image.open(tmp_path / "out/c.png").convert("RGB"))
    assert pixels.shape[0] > 600 and pixels.shape[1] > 1000
    for colour in plots.COLOURS[:2]:
        rgb = [int(colour[at : at + 2], 16) for at in (1, 3, 5)]
        assert (np.abs(pixels.astype(int) - rgb).max(-1) < 3).sum() > 100
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["c.png"]
    assert "wrote" in capsys.readouterr().err


def test_a_killed_run_does_not_slow_every_later_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """matplotlib's lock on its list of fonts goes once nobody can hold it any more; a young one stays."""
    matplotlib = pytest.importorskip("matplotlib")
    monkeypatch.setattr(matplotlib, "get_cachedir", lambda: str(tmp_path))
    old, young = (tmp_path / f"fontlist-v{number}.json.matplotlib-lock" for number in (1, 2))
    for lock in (old, young):
        lock.touch()
    os.utime(old, (0, 0))
    plots.check_png(tmp_path / "c.png")
    assert young.exists() and not old.exists()


def test_png_without_matplotlib_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """matplotlib is optional: one sentence, before a film is read, no file."""
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    assert curves.main([str(write_run(tmp_path / "a")), "--png", str(tmp_path / "c.png")]) == 1
    assert look.main([str(tmp_path / "absent.mkv"), "--png", str(tmp_path / "c.png")]) == 1
    assert capsys.readouterr().err.count("pip install matplotlib") == 2 and not (tmp_path / "c.png").exists()


BAD = [
    (["nowhere"], "no such log"),
    (["empty.txt"], "found none"),
    (["a", "--stride", "0"], "a stride of 1 or more"),
    (["a", "--end", "-1"], "an end of 0 or more"),
    (["lossonly.txt", "--reference", "30"], "no PSNR in lossonly"),
    (["lossonly.txt", "--pattern", "("], "expected a Python regular expression"),
    (["lossonly.txt", "--pattern", "loss"], "no group around the number"),
    (["lossonly.txt", "--pattern", "(loss)"], "expected a number"),
    (["stepless.jsonl"], "line 1"),
]


@pytest.mark.parametrize(("line", "words"), BAD, ids=range(len(BAD)))
def test_bad_input_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], line: list[str], words: str
) -> None:
    """Each mistake exits with 1 and says one line on stderr."""
    monkeypatch.chdir(tmp_path)
    write_run(Path("a"), 3)
    Path("empty.txt").write_text("hello\n")
    Path("lossonly.txt").write_text("loss: 0.5\n")
    Path("stepless.jsonl").write_text('{"loss": 1}\n')
    assert curves.main(line) == 1
    message = capsys.readouterr().err
    assert words in message and message.startswith("error: ") and message.count("\n") == 1


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"step": 2, "data_wait": ' + "[" * 100_000, "line 2 is not JSON"),
        ('{"step": ' + "1" * 5000 + "}", "line 2 is not JSON"),
        ('{"step": ' + "1" * 400 + "}", 'line 2: expected {"step"'),
        ('{"step": 1e999}', 'line 2: expected {"step"'),
        ('{"step": NaN}', 'line 2: expected {"step"'),
        ("[]", 'line 2: expected {"step"'),
    ],
    ids=lambda text: text[:12],
)
def test_damaged_log_is_one_sentence(tmp_path: Path, line: str, words: str) -> None:
    """Nesting too deep and numbers too long or not finite are told with file and line."""
    (tmp_path / "log.jsonl").write_text('{"step": 1, "loss": 0.5}\n' + line + '\n{"step": 3, "loss": 0.5}\n')
    with pytest.raises(ValueError) as caught:
        run_logs.read_log(tmp_path)
    assert (
        words in str(caught.value)
        and "; remove that line" in str(caught.value)
        and "log.jsonl" in str(caught.value)
        and len(str(caught.value)) < 400
    )


def test_values_that_cannot_be_drawn_are_passed_over(tmp_path: Path) -> None:
    """Infinity, nan and numbers of hundreds of digits are no points of a curve, in JSON and in text."""
    for value in ("1e999", "NaN", "1" * 400, "1e300"):
        (tmp_path / "log.jsonl").write_text(f'{{"step": 1, "loss": 0.5}}\n{{"step": 2, "loss": {value}}}\n')
        assert run_logs.read_log(tmp_path).series["loss"].steps == [1]
    (tmp_path / "a.txt").write_text("step 1e999 err: 0.5\nstep 2 err: 0.25\n")
    log = run_logs.read_log(tmp_path / "a.txt", r"step (?P<step>\S+) err: (?P<loss>\S+)")
    assert log.series["loss"].steps == [2]


def test_a_line_of_the_log_stays_in_a_sentence(tmp_path: Path) -> None:
    """What is no line of a log is shown short, without what would act on a terminal."""
    (tmp_path / "log.jsonl").write_text('{"se\x7f": "' + "x" * 999 + '"}\n')
    with pytest.raises(ValueError, match=r"line 1: expected \{") as caught:
        run_logs.read_log(tmp_path)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 400
