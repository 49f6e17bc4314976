"""How the pictures of a video file are coded: codecs, their options, and what goes together with what.

Header, file name and `Encoding` -> ffmpeg's options for the encoder, or ValueError before anything is written. A `Coder`
codes in segments that are kept: frames -> packets of the whole film, those of an earlier run among them.
"""

from __future__ import annotations

import logging
import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from youku import files
from youku.video import ffmpeg
from youku.video.segments import TAIL, Hashed, Kept, num_frames_of
from youku.video.y4m import Header

if TYPE_CHECKING:  # PyAV: a y4m goes without
    from youku.video.avframe import Tags

_log = logging.getLogger(__name__)
_X265 = {"x265-params": "log-level=error"}
# codec -> ffmpeg's encoder, its options, default and largest crf, depths, containers, least and most side in pixels
_ENCODERS: dict[str, tuple[str, dict[str, str], int, int, tuple[int, ...], tuple[str, ...], range]] = {
    "x264": ("libx264", {"preset": "medium"}, 18, 51, (8, 10), (".mp4", ".mkv", ".mov"), range(1, 16385)),
    "x265": ("libx265", _X265, 20, 51, (8, 10, 12), (".mp4", ".mkv", ".mov"), range(16, 8193)),
    "vp9": ("libvpx-vp9", {"b": "0", "row-mt": "1"}, 24, 63, (8, 10, 12), (".mp4", ".mkv", ".webm"), range(1, 65536)),
    "ffv1": ("ffv1", {"level": "3", "slicecrc": "1"}, 0, 0, (8, 9, 10, 12, 14, 16), (".mkv",), range(1, 65536)),
}
# ISO 639-1 and 639-3, two letters and three a language, of pycountry 26.2
_LANGUAGES = """\
aaaar ababk aeave afafr akaka amamh anarg arara asasm avava ayaym azaze babak bebel bgbul bibis bmbam bnben bobod
brbre bsbos cacat ceche chcha cocos crcre csces cuchu cvchv cycym dadan dedeu dvdiv dzdzo eeewe elell eneng eoepo
esspa etest eueus fafas ffful fifin fjfij fofao frfra fyfry gagle gdgla glglg gngrn guguj gvglv hahau heheb hihin
hohmo hrhrv hthat huhun hyhye hzher iaina idind ieile igibo iiiii ikipk ioido isisl itita iuiku jajpn jvjav kakat
kgkon kikik kjkua kkkaz klkal kmkhm knkan kokor krkau kskas kukur kvkom kwcor kykir lalat lbltz lglug lilim lnlin
lolao ltlit lulub lvlav mgmlg mhmah mimri mkmkd mlmal mnmon mrmar msmsa mtmlt mymya nanau nbnob ndnde nenep ngndo
nlnld nnnno nonor nrnbl nvnav nynya ococi ojoji omorm orori ososs papan pipli plpol pspus ptpor quque rmroh rnrun
roron rurus rwkin sasan scsrd sdsnd sesme sgsag shhbs sisin skslk slslv smsmo snsna sosom sqsqi srsrp ssssw stsot
susun svswe swswa tatam tetel tgtgk ththa titir tktuk tltgl tntsn toton trtur tstso tttat twtwi tytah uguig ukukr
ururd uzuzb veven vivie vovol wawln wowol xhxho yiyid yoyor zazha zhzho zuzul"""
_PACKET = struct.Struct("<qqqqI")  # pts, dts, duration, keyframe, bytes
_OWN = re.compile("encoder|duration|bps|number_of_.*|_statistics.*|major_brand|minor_version|compatible_brands", re.I)


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """How the pictures are coded."""

    codec: str = "x264"
    """One of file_names.CODECS; ffv1 is lossless."""
    crf: int | None = None
    """Constant rate factor, larger is worse; None for the codec's default."""

    def __post_init__(self) -> None:
        if self.codec not in _ENCODERS:
            raise ValueError(f"--codec {self.codec}: expected one of {', '.join(_ENCODERS)}")
        most = _ENCODERS[self.codec][3]
        if self.crf is not None and not most:
            raise ValueError(f"--crf {self.crf}: {self.codec} is lossless and has no crf; leave --crf out")
        if self.crf is not None and not 0 <= self.crf <= most:
            raise ValueError(f"--crf {self.crf}: expected 0 to {most} for {self.codec}")

    @property
    def encoder(self) -> str:
        """ffmpeg's name of it."""
        return _ENCODERS[self.codec][0]

    def options(self, header: Header, tags: Tags) -> dict[str, str]:
        """ffmpeg's options for this encoder and pictures, HDR10's light levels among them."""
        _, options, crf, most, *_ = _ENCODERS[self.codec]
        options = options | ({"crf": str(crf if self.crf is None else self.crf)} if most else {})
        if self.codec == "ffv1" and min(header.width, header.height) < LEAST_SLICED_PX:
            options = {"level": "1"}
        if self.codec == "x264" and _has_avx512():
            options["x264-params"] = "asm=AVX2"
        return options | _hdr_options(self.codec, options, tags)


LEAST_SLICED_PX = 9  # FFV1 of levels above 1 finds no slices for some smaller pictures
# x265 4.1 with AVX2 writes beyond its memory where pictures are 33 to 48 pixels wide, and most often aborts the process;
# its plain C cannot be chosen for one clip, for the first clip of a process decides for all
X265_LEAST_WIDTH_PX = 64


@lru_cache(maxsize=1)
def _has_avx512() -> bool:
    """Whether x264 would use code with which it makes one of several files of the same frames.

    Seen with PyAV 18's x264 and mbtree, in one of six runs; with AVX2 it is the most frequent file in 80 of 80.
    """
    try:
        return "avx512" in Path("/proc/cpuinfo").read_text()
    except OSError:  # not Linux
        return False


def default_encoding(path: str | Path, codec: str | None, crf: int | None, header: Header | None = None) -> Encoding:
    """What the user chose; else vp9 for .webm and x264, or of x265 and ffv1 the first that holds the depth of `header`."""
    suffix = Path(path).suffix.lower()
    fitting = ["vp9"] if suffix == ".webm" else ["x264", "x265", "ffv1"]
    holding = [
        name for name in fitting if header and header.depth in _ENCODERS[name][4] and suffix in _ENCODERS[name][5]
    ]
    chosen = codec or (holding or fitting)[0]
    if header and not codec and chosen != fitting[0]:
        _log.warning(f"{path}: {fitting[0]} cannot hold C{header.chroma}, so {chosen} codes it")
    return Encoding(codec=chosen, crf=crf)


def check(header: Header, target: str | Path, encoding: Encoding) -> None:
    """ValueError where codec, container and the planes of `header` do not go together."""
    suffix, codec = Path(target).suffix.lower(), encoding.codec
    _, _, _, _, depths, suffixes, sides = _ENCODERS[codec]
    if suffix not in suffixes:
        fitting = ", ".join(name for name in _ENCODERS if suffix in _ENCODERS[name][5])
        raise ValueError(f"{target}: {suffix} cannot hold {codec}; use --codec {fitting}, or OUT{suffixes[0]}")
    if header.depth not in depths or (codec == "vp9" and header.layout[0] == 0):
        raise ValueError(f"{target}: {codec} cannot hold C{header.chroma}; use --codec ffv1 and name OUT.mkv")
    sub_x, sub_y, _ = header.layout
    odd = (sub_x == 2 and header.width % 2) or (sub_y == 2 and header.height % 2)
    if odd and codec in ("x264", "x265"):
        raise ValueError(f"{target}: {codec} wants even sides, the pictures are {header.size}; use --codec ffv1 or vp9")
    least = X265_LEAST_WIDTH_PX if codec == "x265" else sides[0]
    if header.width not in sides[least - sides[0] :] or header.height not in sides:
        raise ValueError(
            f"{target}: {codec} codes {least} to {sides[-1]} by {sides[0]} to {sides[-1]} pixels, the pictures are "
            f"{header.size}; use --codec {'x264' if sides[0] > 1 else 'ffv1'} and name OUT.mkv"
        )


MOST_RATIO = 255  # of ffmpeg's -aspect


def second_pass(header: Header, target: str | Path, encoding: Encoding) -> list[str]:
    """What the ffmpeg binary has to do again, as its options, because PyAV cannot; empty for nothing."""
    options: list[str] = []
    shape = Fraction(header.width, header.height) * (header.aspect or 0)
    is_silent = encoding.codec in ("vp9", "ffv1") and Path(target).suffix.lower() != ".mp4"
    if is_silent and Fraction(1, MOST_RATIO) <= shape <= MOST_RATIO:
        # the codecs do not say the shape of a pixel and PyAV cannot set that of a stream, which Matroska's writer asks
        options += ["-aspect:v:0", f"{shape.numerator}:{shape.denominator}"]
    if encoding.codec == "vp9" and header.depth > 8:  # the wheel's libvpx is built for 8 bit
        options += ["-c:v", encoding.encoder, *ffmpeg.passthrough_flags()]
        from youku.video.avframe import Tags  # PyAV: names alone go without

        options += [word for name, value in encoding.options(header, Tags()).items() for word in (f"-{name}", value)]
    return options


def _hdr_options(codec: str, options: dict[str, str], tags: Tags) -> dict[str, str]:
    """HDR10's mastering display and light levels as parameters of x264 and x265; the other coders cannot say them."""
    names = {"x264": ("mastering-display", "cll"), "x265": ("master-display", "max-cll")}
    if not (tags.mastering or tags.light):
        return {}
    if codec not in names:
        _log.warning("HDR10's mastering display and light levels are left out: only x264 and x265 can say them")
        return {}
    params = [options[f"{codec}-params"]] if f"{codec}-params" in options else []
    if tags.mastering:  # fractions: x and y of red, green, blue and white, least and most light
        red, green, blue, white, light = np.frombuffer(tags.mastering, "i4")[:20].reshape(5, 2, 2).tolist()
        pairs = [("G", green), ("B", blue), ("R", red), ("WP", white), ("L", light[::-1])]
        units = {"L": 10000}  # cd/m2; chromaticities in 0.00002
        told = "".join(
            f"{name}({','.join(str(round(a * units.get(name, 50000) / b)) for a, b in pair)})" for name, pair in pairs
        )
        params.append(f"{names[codec][0]}={told}")
    if tags.light:
        params.append(f"{names[codec][1]}={','.join(map(str, tags.light))}")
    return {f"{codec}-params": ":".join(params)}


def kept_metadata(given: dict[str, str], has_short_languages: bool) -> dict[str, str]:
    """Without what the writer says itself; a language in three letters where the container holds no more."""
    kept = {name: value for name, value in given.items() if not _OWN.fullmatch(name)}
    if has_short_languages and "language" in kept:  # zh-CN becomes zho
        language = kept["language"].split("-")[0].lower()
        kept["language"] = {pair[:2]: pair[2:] for pair in _LANGUAGES.split()}.get(language, language)
    return kept


def copy_again(path: Path, options: list[str], name: str) -> None:
    """Copy what is in a file into a new one in its place, with options of FFmpeg's; `name` is what errors call it."""
    with files.atomic_path(path := path.absolute()) as whole:  # or a colon in the name would be a protocol
        line = [ffmpeg.binary(), "-v", "error", "-nostdin", "-y", "-copyts", "-i", str(path), "-map", "0", "-c", "copy"]
        ffmpeg.run([*line, *options, "-avoid_negative_ts", "disabled", str(whole)], name)


class Coder:
    """An encoder in segments, in the place of a stream's own: frames go in, packets of the whole film come out."""

    def __init__(self, video: Any, kept: Kept, make: Callable[[Any], Any]) -> None:
        self.codec_context = video.codec_context
        self._video, self._kept, self._make = video, kept, make
        self._index = self._count = 0  # of the segment, of frames in it
        self._dts: int | None = None
        self._scratch: Any = None
        self._encoder: Any = None
        self._hashed: Hashed | None = None
        self._old = kept.resume()
        self.num_kept = sum(map(num_frames_of, self._old))

    def __enter__(self) -> Coder:
        return self

    def __exit__(self, *_: object) -> None:
        if self._hashed:
            self._hashed.file.close()

    def encode(self, frame: Any) -> Iterator[Any]:
        """Code a frame; None ends the last segment."""
        if frame is not None:
            if self._encoder is None:
                self._begin()
            self._count += 1
            yield from self._write(self._encoder.encode(frame))
        if self._encoder is not None and (frame is None or self._count == self._kept.segment_frames):
            yield from self._end()

    def skip(self) -> Iterator[Any]:
        """Count a frame that is kept; with the first of a segment come its packets."""
        path = self._old[self._index]
        if self._count == 0:
            yield from map(self._placed, _read(path, self.codec_context.time_base))
        self._count += 1
        if self._count == num_frames_of(path):
            self._index, self._count = self._index + 1, 0

    def _begin(self) -> None:
        import av  # a y4m goes without

        self._scratch = av.open("any.mkv", "w")  # writes nothing; an encoder has to belong to a container
        self._encoder = self._make(self._scratch)
        self._hashed = Hashed(open(self._kept.folder / TAIL, "wb"))  # noqa: SIM115

    def _write(self, packets: list[Any]) -> Iterator[Any]:
        assert self._hashed is not None
        for packet in packets:
            stamps = (packet.pts, packet.dts, packet.duration or 0, packet.is_keyframe)
            self._hashed.write(_PACKET.pack(*stamps, packet.size) + bytes(packet))
            yield self._placed(packet)

    def _end(self) -> Iterator[Any]:
        packets = self._encoder.encode(None)
        if self._count < 3:  # in order, and x265 leaves the decoding times of so few unset
            for packet in packets:
                packet.dts = packet.pts
        yield from self._write(packets)
        assert self._hashed is not None
        self._hashed.sync()
        self._hashed.file.close()
        self._kept.place(self._index, self._count, self._hashed.digest.hexdigest())
        self._index, self._count = self._index + 1, 0
        self._encoder = self._scratch = self._hashed = None

    def _placed(self, packet: Any) -> Any:
        """A packet of the film: each encoder begins to count its decoding times anew, at a little before its pictures."""
        packet.dts = packet.dts if self._dts is None else max(packet.dts, self._dts + 1)
        self._dts = packet.dts
        packet.stream = self._video
        return packet


def _read(path: Path, tick: Any) -> Iterator[Any]:
    """Packets of a finished segment."""
    import av

    with path.open("rb") as file:
        while stamps := file.read(_PACKET.size):
            pts, dts, duration, is_keyframe, num_bytes = _PACKET.unpack(stamps)
            packet: Any = av.Packet(file.read(num_bytes))
            packet.pts, packet.dts, packet.duration = pts, dts, duration
            packet.is_keyframe, packet.time_base = bool(is_keyframe), tick
            yield packet
