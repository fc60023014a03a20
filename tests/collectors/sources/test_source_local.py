"""Tests of the sources that read audio files and covers from folders."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
import soundfile

from collectors.local_files import Folder, audio_files
from collectors.source import Absent, Ambiguous, Request, Transient, Trouble
from collectors.sources.local_audio import AudioFolder, LocalFeatures, LocalPreviews
from collectors.sources.local_covers import EmbeddedCovers, LocalCovers, embedded_cover
from tests.collectors.sources.pictures import bomb, picture
from tests.collectors.sources.sounds import RATE, tone
from tests.servers.music import mbid
from toolkit.constants import AUDIO_FEATURES
from toolkit.encoders.audio.audio_features import measure
from toolkit.errors import InputError

RECORDING, RELEASE = mbid("recording", "local"), mbid("release", "local")


def tag(path: Path, **tags: str) -> None:
    import mutagen

    file = mutagen.File(path, easy=True)
    if file.tags is None:
        file.add_tags()
    for name, value in tags.items():
        file[name] = value
    file.save()


@pytest.fixture(scope="module")
def music(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("local")
    folder = root / "music"
    tone(folder / "Mira" / "01 - Mira Oss - Sea Above.wav")
    tone(folder / "4iV5W9uYEdYUVa79Axb7Rh.wav", hertz=330.0)
    tag(
        tone(folder / "a.flac", 3.0, 220.0),
        title="Two Boats",
        artist="Mira Oss",
        album="Low Quay",
        isrc="GB-ABC-01-00003",
    )
    tag(tone(folder / "b.ogg", 2.5), title="شجن", artist="فيروز", musicbrainz_trackid=RECORDING)
    (folder / "broken.mp3").write_bytes(b"ID3" + bytes(200))
    tone(root / "secret.wav")
    (folder / "link.wav").symlink_to(root / "secret.wav")
    return folder


@pytest.fixture(scope="module")
def previews(music, tmp_path_factory):
    source = LocalPreviews(AudioFolder.Params(folder=music))
    with source.opened(tmp_path_factory.mktemp("state")):
        yield source


def track(
    id: str = "t", title: str | None = None, artist: str | None = None, seconds: float | None = None, **ids: str
) -> Request:
    return Request("track", id, ("audio",), ids, title, (artist,) if artist else (), duration_s=seconds)


@pytest.mark.parametrize(
    ("request_", "name"),
    [
        (track("local:Mira/01 - Mira Oss - Sea Above.wav"), "Mira/01 - Mira Oss - Sea Above.wav"),
        (track(spotify="4iV5W9uYEdYUVa79Axb7Rh"), "4iV5W9uYEdYUVa79Axb7Rh.wav"),
        (track(isrc="GBABC0100003"), "a.flac"),
        (track(mbid=RECORDING), "b.ogg"),
        (track(title="Sea above", artist="MIRA OSS"), "Mira/01 - Mira Oss - Sea Above.wav"),
        (track(title="Two Boats", artist="Mira Oss", seconds=3.4), "a.flac"),
        (track(title="شجن", artist="فيروز", seconds=2.0), "b.ogg"),
    ],
)
def test_audio_file_is_found_by_id_tags_or_name(previews, music, http, request_, name):
    assert previews.collect(request_, http).values == {"audio": music / name}


@pytest.mark.parametrize(
    "request_",
    [
        track("local:../secret.wav"),
        track("local:link.wav"),
        track(title="../secret", artist="x"),
        track(spotify="../../secret"),
        track("/etc/passwd", mbid="/etc/passwd"),
        track("spotify:track:none", title="Nothing", artist="Nobody"),
    ],
)
def test_files_outside_the_folder_are_not_found(previews, http, request_):
    assert isinstance(previews.collect(request_, http), Absent)


def test_audio_file_with_another_duration_is_ambiguous(previews, http):
    answer = previews.collect(track(title="Two Boats", artist="Mira Oss", seconds=9.0), http)
    assert isinstance(answer, Ambiguous) and answer.score < 0.85 and answer.note == "a.flac: Mira Oss - Two Boats"


def test_missing_folder_raises(tmp_path):
    with (
        pytest.raises(InputError, match="must be an existing folder"),
        LocalCovers(LocalCovers.Params(folder=tmp_path / "none")).opened(tmp_path),
    ):
        pass


def test_local_features_equal_encoder_features(music, http, tmp_path):
    source = LocalFeatures(AudioFolder.Params(folder=music, tags=False))
    with source.opened(tmp_path):
        values = source.collect(track("local:4iV5W9uYEdYUVa79Axb7Rh.wav"), http).values["audio_features"]
        samples, _ = soundfile.read(music / "4iV5W9uYEdYUVa79Axb7Rh.wav", dtype="float32")
        assert values == pytest.approx(measure(samples, RATE).tolist(), abs=1e-6) and len(values) == len(AUDIO_FEATURES)
        assert values[AUDIO_FEATURES.index("key")] == 4  # 330 Hz is an E
        with pytest.raises(Trouble, match="broken.mp3 has audio that cannot be read") as caught:
            source.collect(track("local:broken.mp3"), http)
        assert not isinstance(caught.value, Transient)  # the file will not get better by trying again
    assert source.terms.train_allowed is True and source.name == "librosa"


@pytest.fixture(scope="module")
def covers(tmp_path_factory):
    root = tmp_path_factory.mktemp("covers")
    folder = root / "art"
    for name, data in {
        "Mira Oss/Low Quay/Cover.JPG": picture("teal"),
        "Mira Oss - Two Boats.png": picture("navy", "PNG"),
        f"{RELEASE}.jpg": picture("red"),
        "فيروز - أغاني.jpg": picture("gold"),
        "Mira Oss - Broken.jpg": picture("red")[:-40],
        "Mira Oss - Bomb.png": bomb(),
        "demo_album_7.webp": picture("pink", "WEBP"),
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    (root / "secret.jpg").write_bytes(picture())
    source = LocalCovers(LocalCovers.Params(folder=folder))
    with source.opened(root):
        yield source


def album(title: str | None = None, artist: str | None = "Mira Oss", id: str = "a", **ids: str) -> Request:
    return Request("album", id, ("cover",), ids, title, (artist,) if artist else ())


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (album("Low Quay"), picture("teal")),
        (album("Two Boats (Deluxe Edition)"), picture("navy", "PNG")),
        (album("Anything", mbid=RELEASE), picture("red")),
        (album("أغاني", "فيروز"), picture("gold")),
        (album(id="demo:album:7"), picture("pink", "WEBP")),
    ],
)
def test_local_cover_is_found_by_id_or_name(covers, http, request_, expected):
    assert covers.collect(request_, http).values == {"cover": expected}


@pytest.mark.parametrize(
    ("request_", "note"),
    [
        (album("Broken"), "Mira Oss - Broken.jpg is a damaged image"),
        (album("Bomb"), "Mira Oss - Bomb.png is a damaged image (Image size"),
        (album("../secret"), ""),
        (album(id="../secret"), ""),
        (album("Low Quay", "Somebody Else Altogether"), ""),
    ],
)
def test_damaged_images_and_path_ids_are_absent(covers, http, request_, note):
    answer = covers.collect(request_, http)
    assert isinstance(answer, Absent) and answer.note.startswith(note)


def test_embedded_cover_is_found_by_tags(music, http, tmp_path):
    from mutagen.flac import FLAC, Picture

    file, back, front = FLAC(music / "a.flac"), Picture(), Picture()
    back.data, back.type, front.data, front.type = picture("black"), 4, picture("green"), 3
    file.add_picture(back)
    file.add_picture(front)
    file.save()
    source = EmbeddedCovers(LocalCovers.Params(folder=music))
    with source.opened(tmp_path):
        assert source.collect(album("Low Quay"), http).values == {"cover": picture("green")}
        assert isinstance(source.collect(album("Low Quay", "Another"), http), Absent)


def test_embedded_cover_is_read_from_every_format(music, tmp_path):
    from mutagen.apev2 import APEBinaryValue, APEv2
    from mutagen.flac import Picture
    from mutagen.id3 import APIC, ID3
    from mutagen.oggvorbis import OggVorbis

    front = Picture()
    front.data, front.type = picture("gold"), 3
    ogg = OggVorbis(tone(tmp_path / "c.ogg"))
    ogg["metadata_block_picture"] = ["no base64!", base64.b64encode(front.write()).decode()]
    ogg.save()
    mp3 = tone(tmp_path / "d.mp3")
    tags = ID3()
    tags.add(APIC(mime="image/jpeg", type=3, desc="front", data=picture("pink")))
    tags.save(mp3)
    plain = tone(tmp_path / "e.mp3")
    ape = APEv2()
    ape["Cover Art (Front)"] = APEBinaryValue(b"front.jpg\0" + picture("grey"))
    ape.save(plain)
    assert embedded_cover(tmp_path / "c.ogg") == picture("gold")
    assert embedded_cover(mp3) == picture("pink")
    assert embedded_cover(music / "b.ogg") is None and embedded_cover(music / "broken.mp3") is None
    # mutagen reads APE tags of an MP3 only where it has no other tags
    assert embedded_cover(plain) in (None, picture("grey"))


@pytest.mark.parametrize(
    ("stem", "artist", "title"),
    [
        ("01 - Mira Oss - Sea Above", "Mira Oss", "Sea Above"),
        ("01 Sea Above", None, "Sea Above"),
        ("7. Mira Oss - Sea Above", "Mira Oss", "Sea Above"),
        ("10 cc - Donna", "10 cc", "Donna"),
        ("99 Luftballons", None, "99 Luftballons"),
        ("1999", None, "1999"),
    ],
)
def test_artist_and_title_are_read_from_file_names(tmp_path, stem, artist, title):
    (tmp_path / f"{stem}.mp3").write_bytes(b"")
    (entry,) = audio_files(tmp_path, tags=False)
    assert (entry.artist, entry.title) == (artist, title)


def test_files_without_tags_are_read_by_name(music):
    files = Folder(audio_files(music, tags=False))
    assert files.match(track(isrc="GBABC0100003")) is None
    assert "link" not in " ".join(files.by_key)


def test_compressed_frames_of_tags_are_not_unpacked(tmp_path):
    import zlib

    def size(number: int) -> bytes:
        return bytes((number >> 7 * place) & 127 for place in (3, 2, 1, 0))

    packed = zlib.compress(b"\0image/png\0\3\0" + bytes(20 << 20), 9)
    picture = b"APIC" + size(len(packed) + 4) + b"\x00\x09" + size(20 << 20) + packed
    title = b"TIT2" + size(6) + b"\x00\x00" + b"\3title"
    frames = title + picture
    path = tmp_path / "x.mp3"
    path.write_bytes(b"ID3\4\0\0" + size(len(frames)) + frames + bytes(1000))

    from mutagen.id3 import ID3

    from collectors.local_files import read_tags

    assert read_tags(path) is None or read_tags(path).tags.getall("APIC") == []
    assert [str(text) for text in ID3(path).getall("TIT2")] == ["title"]
    assert ID3(path).getall("APIC") == []
