"""Clips in an object store: the same results as from files, fetched once, written whole; what a store refuses in a sentence."""

from __future__ import annotations

import errno
import importlib.util
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import numpy as np
import pytest

from tests.conftest import write_pair
from tests.test_train import settings
from youku import contest, copies, files, predict, stores, urls
from youku.__main__ import main
from youku.exchange import objects
from youku.exchange.fetch import fetch
from youku.training import run, saving
from youku.video import y4m

fsspec = pytest.importorskip("fsspec")
MISSING = [name for name in ("s3fs", "moto", "flask") if not importlib.util.find_spec(name)]


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """A store that no command takes, as it would be gone with it."""
    monkeypatch.setattr(urls, "SCHEMES", (*urls.SCHEMES, "memory"))
    system = fsspec.filesystem("memory")
    yield system
    for path in system.ls("/", detail=False):
        system.rm(path, recursive=True)


@pytest.fixture(params=["memory", "s3"])
def bucket(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of an empty place in a store."""
    if request.param == "memory":
        request.getfixturevalue("memory")
        yield "memory://clips"
        return
    if MISSING:
        pytest.skip(f"needs pip install {' '.join(MISSING)}")
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "y",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    fsspec.filesystem("s3").makedirs("clips", exist_ok=True)
    yield "s3://clips"
    fsspec.filesystem("s3").rm("clips", recursive=True)
    fsspec.filesystem("s3").clear_instance_cache()
    server.stop()


def put(folder: Path, url: str) -> None:
    system, place = fsspec.core.url_to_fs(url)
    for path in folder.glob("*.y4m"):
        system.put_file(str(path), f"{place}/{path.name}")


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")
def test_predict_reads_and_writes_a_bucket(
    tmp_path: Path, bucket: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bytes of a run on files; the same command again fetches, makes and writes nothing."""
    clips = tmp_path / "clips"
    for clip_id in range(2):
        write_pair(clips, clip_id, 16, 12, 2)
    put(clips, f"{bucket}/low")
    assert predict.main([str(clips), str(tmp_path / "high"), "--model", "bicubic"]) == 0
    line = [f"{bucket}/low", f"{bucket}/high", "--model", "bicubic"]
    assert predict.main(line) == 0
    system, place = fsspec.core.url_to_fs(f"{bucket}/high")
    for clip_id in range(2):
        name = contest.result_name(clip_id, True)
        assert system.cat_file(f"{place}/{name}") == (tmp_path / "high" / name).read_bytes()
    capsys.readouterr()
    monkeypatch.setattr(system, "open", None)
    assert predict.main(line) == 0
    said = capsys.readouterr().err
    assert said.count("up to date") == 2 and "0 files put there, 2 there already" in said


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")
def test_every_verb_reads_and_writes_a_bucket(
    tmp_path: Path, bucket: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it makes of files, for objects, pictures, folders and folders below them; what is said names the URL alone."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    low, high = contest.low_name(0), contest.high_name(0)
    for clip_id in range(2):
        write_pair(Path("clips"), clip_id, 16, 12, 3)
    put(Path("clips"), f"{bucket}/clips")
    system, place = fsspec.core.url_to_fs(bucket)
    for line in (
        f"convert {{}}/clips/{high} {{}}/set/HR/",
        f"convert {{}}/clips/{low} {{}}/numbered/f-%02d.png --start 0.04",
        "convert {}/numbered/f-%02d.png {}/back.y4m --json",
        "convert {}/clips {}/every --every 2 --shard 1/2",
        "convert {}/clips {}/every --every 2 --shard 2/2",
        "degrade {}/every {}/pairs --preset bicubic",
        "degrade --check {}/pairs",
        "predict {}/clips {}/out --model bicubic",
        "submit {}/out --name a --low {}/clips --test-set val --out={}/submissions",
        "score {}/submissions/a/a.zip --low {}/clips --high {}/clips --test-set val --no-vmaf --out {}/score",
        f"compare {{}}/clips/{low} {{}}/clips/{high} --out {{}}/c.png --frame 1",
        f"inspect {{}}/clips/{low} --json --png {{}}/i.png",
        "evaluate {}/set --model bicubic --save {}/kept",
    ):
        status = main(line.format(*[str(tmp_path)] * 4).split())
        assert main(line.format(*[bucket] * 4).split()) == status == int("--check" in line), line  # too small for that
        assert str(copies.files.cache_folder("objects")) not in "".join(capsys.readouterr())
    made = {str(Path(one).relative_to(place)): one for one in system.find(place)}
    shown = [path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()]
    assert made.keys() == {str(path) for path in shown if "/." not in f"/{path}"} and len(made) > 30
    for name in made.keys() - {
        "pairs/pairs.json",
        "submissions/a/manifest.json",
        "score/score.json",
    }:  # these name paths
        assert system.cat_file(made[name]) == (tmp_path / name).read_bytes(), name


def test_pairs_are_numbered_after_those_in_the_store(
    tmp_path: Path, memory: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of whatever machine; the first goes on with what the other has put there."""
    write_pair(tmp_path, 0, 16, 12, 2)
    low, high, out = (str(tmp_path / contest.low_name(0)), str(tmp_path / contest.high_name(0)), "memory://d/pairs")
    assert main(["degrade", high, out]) == 0
    with monkeypatch.context() as patched:
        patched.setenv("XDG_CACHE_HOME", str(tmp_path / "another"))
        assert main(["degrade", low, out]) == 0
    assert main(["degrade", low, high, out, "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {"folder": out, "made": []}
    assert len(fsspec.filesystem("memory").find("/d/pairs")) == 5
    fsspec.filesystem("memory").rm("/d/pairs", recursive=True)
    assert main(["degrade", low, out, "--json"]) == 0  # as in a folder whose files were deleted
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["made"] == [0]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (
            "degrade a.y4m memory://a/out --shard 1/2",
            "the shards of degrade meet in OUT; name a folder that all machines",
        ),
        (
            "score memory://a/a.zip --low l --high h --test-set val",
            "score writes beside it, where it is no URL; add --out",
        ),
        ("report memory://a/b", "report writes beside it"),
        ("download --data memory://a", "download goes on in that folder; name one of this machine"),
        ("train --data d --runs=memory://a", "train goes on in that folder"),
        ("compare memory://a/x.mp4 b.y4m --out memory://a/x.mp4", "is the input itself"),
        ("convert s3://me:secret@b/a.y4m b.y4m", "s3://b/a.y4m: expected no credentials in it"),
        ("inspect memory://a/none.y4m", "memory://a/none.y4m: no such bucket or object"),
        ("inspect memory://a/text.y4m", "memory://a/text.y4m: "),
        ("convert memory://a/text.y4m memory://a/text.yuv", "memory://a/text.y4m: "),
    ],
)
def test_a_url_that_a_verb_cannot_take_is_refused(
    line: str, words: str, memory: object, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one sentence that names it, and nothing is made here or there."""
    fsspec.filesystem("memory").pipe_file("/a/text.y4m", b"no clip")
    assert main(line.split()) == 1
    told = capsys.readouterr().err
    assert told.startswith("error: ") and words in told and told.count("\n") == 1
    assert fsspec.filesystem("memory").find("/") == ["/a/text.y4m"]


def test_no_object_is_lost(tmp_path: Path, memory: object, capsys: pytest.CaptureFixture[str]) -> None:
    """Another object in the place of the output stays, without --force, and so does the input; the same bytes are taken."""
    system = fsspec.filesystem("memory")
    write_pair(tmp_path, 0, 16, 12, 2)
    source, out = str(tmp_path / contest.low_name(0)), "memory://out/clip.y4m"
    system.pipe_file("/out/clip.y4m", b"theirs")
    assert predict.main([source, out, "--model", "bicubic"]) == 1
    assert "exists and was not made here" in capsys.readouterr().err and system.cat_file("/out/clip.y4m") == b"theirs"
    assert predict.main([source, out, "--model", "bicubic", "--force"]) == 0
    copies._note(copies._cache(out) / "out" / "clip.y4m").unlink()
    assert predict.main([source, out, "--model", "bicubic"]) == 0
    assert "0 files put there, 1 there already" in capsys.readouterr().err
    ours = system.cat_file("/out/clip.y4m")
    system.pipe_file("/out/clip.y4m", b"theirs, put there since")
    assert predict.main([source, out, "--model", "bicubic"]) == 1
    assert system.cat_file("/out/clip.y4m") == b"theirs, put there since"
    system.pipe_file("/out/clip.y4m", ours)
    assert predict.main([out, "memory://out//clip.y4m", "--model", "bicubic", "--force"]) == 1
    assert "is the input itself" in capsys.readouterr().err
    assert predict.main([f"file://{source}", f"file://{source}", "--model", "bicubic"]) == 1
    assert predict.main([f"file://{source}", f"file://{tmp_path}/new/o.y4m", "--model", "bicubic"]) == 0
    assert (tmp_path / "new" / "o.y4m").read_bytes() == system.cat_file("/out/clip.y4m")


def test_two_runs_at_once_lose_nothing(tmp_path: Path, memory: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """A verb that makes its outputs anew takes nothing away that another makes for the same URL; both may be repeated."""
    for clip_id in range(2):
        write_pair(tmp_path / str(clip_id), clip_id, 16, 12, 2)
    line, put = ["convert", str(tmp_path / "0"), "memory://out/clips"], copies.put

    def another_first(*given: Any) -> str:
        monkeypatch.setattr(copies, "put", put)
        assert main(["convert", str(tmp_path / "1"), "memory://out/clips"]) == 0
        return put(*given)

    for _ in range(2):
        monkeypatch.setattr(copies, "put", another_first)
        assert main(line) == 0
        assert len(fsspec.filesystem("memory").find("/out/clips")) == 4
    assert not list(files.cache_folder("objects").glob("*/runs/.*"))


def test_train_reads_a_bucket_and_follows_its_changes(pairs: Path, memory: object) -> None:
    """Pairs as from the folder; an object that has changed is fetched anew, one that is gone is gone."""
    put(pairs, "memory://data/train")
    made = settings(pairs, data=("memory://data/train",))
    there = [pair.source for part in run.load_pairs(made) for pair in part]
    assert len(there) == 3
    system = fsspec.filesystem("memory")
    for name in (contest.low_name, contest.high_name):
        system.rm(f"/data/train/{name(0)}")
        system.put_file(str(pairs / name(1)), f"/data/train/{name(2)}")
    train, val = run.load_pairs(made)
    assert len(train + val) == 2
    folder = Path(copies.local("memory://data/train"))
    assert (folder / contest.low_name(2)).read_bytes() == (pairs / contest.low_name(1)).read_bytes()


def num_here(folder: Path) -> tuple[int, int]:
    """How many blocks of all clips have come, of how many."""
    notes = [path.read_bytes()[32:] for path in folder.glob(".*.blocks")]
    return sum(note.count(1) for note in notes), sum(map(len, notes))


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")
def test_patches_come_by_range(pairs: Path, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A patch fetches its frame's blocks alone, once for all runs; an object that changes meanwhile is refused, not mixed."""
    monkeypatch.setattr(copies, "RANGE_BYTES", 4096)
    put(pairs, url := f"{bucket}/train")
    made = settings(pairs, data=(url,))
    local = {path.name: y4m.Clip(path) for path in pairs.glob("*.y4m")}

    def clip_of(name: str) -> y4m.Clip:
        return next(pair.high for part in run.load_pairs(made) for pair in part if pair.high.path.name == name)

    name = contest.high_name(1)
    folder = (clip := clip_of(name)).path.parent
    opened, num_blocks = num_here(folder)
    assert opened <= 2 * len(local) < num_blocks / 3  # head and last line of each
    with monkeypatch.context() as patched:
        for _ in range(2):
            assert all(map(np.array_equal, clip.patch(2, 16, 32, 24, 24), local[name].patch(2, 16, 32, 24, 24)))
            assert opened < num_here(folder)[0] <= opened + 6
            patched.setattr(copies.Blocks, "_fetch", None)
            clip = clip_of(name)
    system, place = fsspec.core.url_to_fs(f"{url}/{name}")
    system.pipe_file(place, (pairs / contest.high_name(0)).read_bytes())
    with pytest.raises(ValueError, match=f"{name} changed while it was read; run the command again"):
        clip.patch(4, 16, 32, 24, 24)
    clip = clip_of(name)
    assert np.array_equal(clip.frame(4)[0], local[contest.high_name(0)].frame(4)[0])
    assert run.start(made, progress=False).finished


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")
def test_a_run_is_backed_up_and_goes_on_elsewhere(pairs: Path, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """At every save, all that a resume needs; another run's backup stays, and a store that fails ends no training."""
    made = settings(pairs, name="a", backup=f"{bucket}/runs/a", steps=4)
    assert run.start(replace(made, steps=2), progress=False).finished
    system, place = fsspec.core.url_to_fs(made.backup)
    kept = {path.name: path.read_bytes() for path in made.folder.iterdir() if path.name in saving.BACKED_UP}
    assert {"last.pt", "best.safetensors", "log.jsonl", "config.toml"} <= kept.keys()
    assert all(system.cat_file(f"{place}/{name}") == data for name, data in kept.items())
    with pytest.raises(ValueError, match="has a run already; name another place"):
        run.start(replace(made, name="b"), progress=False)
    (elsewhere := pairs.parent / "elsewhere").mkdir()
    monkeypatch.chdir(elsewhere)
    folder = run.restored(made.backup)
    assert all((folder / name).read_bytes() == data for name, data in kept.items())
    with pytest.raises(ValueError, match="has a run already; go on with --resume runs/a"):
        run.restored(made.backup)
    monkeypatch.setattr(stores, "put", lambda *_: (_ for _ in ()).throw(ValueError(f"{made.backup}: no way")))
    said: list[str] = []
    assert run.start(replace(run.resumed_config(folder), steps=4), True, progress=False, say=said.append).finished
    assert any(f"not backed up, training goes on: {made.backup}: no way" in line for line in said)


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")
def test_a_place_that_takes_nothing_is_refused_before_the_work(
    tmp_path: Path, pairs: Path, bucket: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A bucket that is not there, a server that is read from; and what is gone is no folder that an earlier run fetched."""
    others = {"https://host/high": "is for reading alone"}
    if bucket.startswith("s3"):
        others["s3://none/high"] = "no such bucket or object"
    for url, words in others.items():
        assert predict.main([str(pairs), url, "--model", "bicubic"]) == 1
        assert words in capsys.readouterr().err
        with pytest.raises(ValueError, match=words):
            run.start(settings(pairs, name="a", backup=url), progress=False)
    assert not copies._cache("s3://none/high").exists() and not (pairs.parent / "runs" / "a").exists()
    put(pairs, f"{bucket}/low")
    copies.local(f"{bucket}/low")
    system, place = fsspec.core.url_to_fs(f"{bucket}/low")
    system.rm(place, recursive=True)
    with pytest.raises(ValueError, match="no such bucket or object"):
        copies.local(f"{bucket}/low")


def test_a_mirror_may_be_a_bucket(tmp_path: Path, memory: object) -> None:
    """A transfer goes on where it ended; an object that has changed since begins anew."""
    fsspec.filesystem("memory").pipe_file("/mirror/a.zip", bytes(range(200)))
    with objects.make_session() as session:
        revision = objects.read(
            session, "memory://mirror/a.zip", 0, objects.Revision("memory://mirror/a.zip"), True
        ).revision
        assert objects.size_of(session, revision.url) == revision.total_bytes == 200
        body = objects.read(session, revision.url, 150, revision, False)
        assert (body.start, body.read(99)) == (150, bytes(range(150, 200)))
        fsspec.filesystem("memory").pipe_file("/mirror/a.zip", b"PK\x03\x04 other")
        assert objects.read(session, revision.url, 150, revision, False).start == 0
        with pytest.raises(objects.FetchError, match="no such bucket or object"):
            objects.size_of(session, "memory://mirror/b.zip")
    fetch("memory://mirror/a.zip", tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == b"PK\x03\x04 other"


def test_an_object_that_changes_while_it_is_read_is_refused(memory: object, monkeypatch: pytest.MonkeyPatch) -> None:
    system = fsspec.filesystem("memory")
    system.pipe_file("/a/clip.y4m", b"12345678")
    monkeypatch.setattr(stores, "BLOCK_BYTES", 4)
    real = copies.files.atomic_write
    monkeypatch.setattr(
        copies.files, "atomic_write", lambda path: system.pipe_file("/a/clip.y4m", b"1234") or real(path)
    )
    with pytest.raises(ValueError, match="clip.y4m changed while it was read"):
        copies.local("memory://a/clip.y4m")
    assert not list(copies._cache("memory://a/clip.y4m").rglob("*clip*"))


@pytest.mark.parametrize("key", ["ETag", "etag", "mtime", "created", "LastModified", "Last-Modified"])
def test_another_revision_has_another_mark(key: str) -> None:
    """Of the same size, whatever a store or a server calls its time or tag: else a copy of yesterday is taken for today's."""
    marks = {stores.mark_of(SimpleNamespace(info=lambda _, at=at: {"size": 9, key: at}), "a") for at in (1, 2)}
    assert len(marks) == 2


def test_a_web_server_that_is_not_reached_is_told_as_such() -> None:
    """fsspec says of it that there is no such object."""

    def info(path: str) -> NoReturn:
        raise FileNotFoundError(path) from ConnectionRefusedError(111, "refused")

    with pytest.raises(ValueError, match="^https://h/a.y4m: the server is not reached; check the URL and the network$"):
        with stores.told("https://h/a.y4m"):
            stores.mark_of(SimpleNamespace(info=info), "https://h/a.y4m")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (FileNotFoundError("x"), "no such bucket or object"),
        (PermissionError("Forbidden"), "access denied .Forbidden.; check the credentials"),
        (OSError(errno.EINVAL, "Bad Request"), "access denied .*Bad Request.; check the credentials"),
        (type("NoCredentialsError", (Exception,), {})("secret"), "no valid credentials .NoCredentialsError."),
        (ValueError("Must provide an account_name with credentials"), "no valid credentials .ValueError."),
        (type("ClientAuthenticationError", (Exception,), {})("no"), "access denied .no.; check the credentials"),
        (type("HttpError", (Exception,), {})("no way, 401"), "access denied .no way, 401.; check the credentials"),
        (OSError("Forbidden: https://me:x@host/b?sig=secret"), "access denied .Forbidden: https://host/b.; check"),
        (ValueError("endpoint is required"), "the store failed .endpoint is required.; check the URL and the settings"),
        (ValueError("s3://bucket/a: is worded already"), "is worded already"),
        (type("EndpointConnectionError", (Exception,), {})("secret"), "the server is not reached; check the URL, the"),
        (type("ClientConnectorDNSError", (Exception,), {})("secret"), "the server is not reached; check the URL, the"),
        (type("SlowDown", (Exception,), {})("secret"), "the store failed .SlowDown.; check the URL and the settings"),
    ],
)
def test_what_a_store_refuses_is_one_sentence(error: Exception, words: str) -> None:
    """Names, passwords and signatures of a URL are never said."""
    with (
        pytest.raises(ValueError, match=f"^s3://bucket/a: {words}") as told,
        stores.told("s3://me:secret@bucket/a?sig=secret"),
    ):
        raise error
    assert "secret" not in str(told.value)


@pytest.mark.parametrize(("scheme", "package"), stores.PACKAGES.items())
def test_a_package_that_is_missing_is_named(
    scheme: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before the work, for what is read and for what is to be written alike."""
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, scheme, raising=False)  # type: ignore[attr-defined]
    for line in ([str(tmp_path / "absent.y4m"), f"{scheme}://bucket/out.y4m"], [f"{scheme}://bucket/a.y4m", "out.y4m"]):
        assert predict.main(line) == 1
        assert f"pip install fsspec {package}" in capsys.readouterr().err


@pytest.mark.parametrize(
    "name",
    ["file://here/clip.y4m", "file://clip.y4m", "ftp://h/clip.y4m", "memory://c/a.y4m", "S3://b/a.y4m", "s3:/b/a.y4m"],
)
def test_a_url_that_names_no_place_is_refused(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A relative file:// would lose its first part, and a scheme that nothing opens would become a folder."""
    with pytest.raises(ValueError, match=r"expected (file:///PATH|one of s3)"):
        copies.local(name)
    assert copies.local("file:///tmp/a.y4m") == "/tmp/a.y4m"
    assert predict.main(["absent.y4m", name]) == 1 and not Path(name).parent.exists()
    assert capsys.readouterr().err.startswith(f"error: {name}: expected ")


def test_no_signature_is_kept(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page's file is called as its path says; what signs the request stays in the command."""
    memory.pipe_file("/a.y4m?sig=secret", b"frames")
    monkeypatch.setattr(stores, "system_of", lambda url: (memory, "/a.y4m?sig=secret"))
    copy = Path(copies.local("https://host/a.y4m?sig=secret"))
    assert (copy.name, copy.read_bytes()) == ("a.y4m", b"frames")
    assert not list(files.cache_folder("objects").rglob("*secret*"))


@pytest.mark.parametrize(
    ("target", "error", "words"),
    [
        ("s3://gone/out/", FileNotFoundError("x"), "s3://gone/out/: no such bucket"),
        ("gs://b/o.y4m", type("DefaultCredentialsError", (Exception,), {})("x"), "no valid credentials"),
        ("oss://b/o.y4m", type("EndpointError", (Exception,), {})("x"), "the store failed"),
        ("https://host/o.y4m", None, "is for reading alone"),
        ("s3://b/o.y4m", PermissionError("no listing"), "access denied (no listing)"),
    ],
)
def test_where_nothing_can_be_put_is_said_before_the_work(
    target: str,
    error: Exception | None,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A bucket that is not there, no credentials, no right to look, a server of pages."""

    def ask(path: str) -> None:
        assert error
        raise error

    monkeypatch.setattr(
        stores, "system_of", lambda url: (SimpleNamespace(info=ask, exists=ask), url.partition("://")[2])
    )
    assert predict.main(["absent.y4m", target]) == 1
    told = capsys.readouterr().err
    assert words in told and "absent" not in told
