import io
import struct
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from faceshot.archive import pack_arrays, read_archive, unpack_arrays, write_archive
from faceshot.errors import CharacterFileError, MotionClipError

ALLOWED = {"a.json": 1000}
OPTIONAL = {"b.png": 1_000_000}


def read(source: Path | bytes) -> dict[str, bytes]:
    return read_archive(
        source, "box", required=ALLOWED, optional=OPTIONAL, error=CharacterFileError, remake="Make it again."
    )


def zipped(entries: list[tuple[str, bytes]], method: int = zipfile.ZIP_DEFLATED, comment: bytes = b"") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in entries:
            archive.writestr(name, data)
        archive.comment = comment
    return out.getvalue()


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "box.zip"
    entries = {"a.json": b"{}" * 100, "b.png": bytes(range(256))}
    write_archive(path, entries, CharacterFileError)
    assert read(path) == entries == read(path.read_bytes())
    assert [p.name for p in tmp_path.iterdir()] == ["box.zip"]


def test_the_same_entries_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_archive(tmp_path / name, {"a.json": b"x" * 50}, CharacterFileError)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "box.zip"
    write_archive(path, {"a.json": b"old"}, CharacterFileError)

    def disk_full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", disk_full)
    with pytest.raises(MotionClipError, match="No space left on device"):
        write_archive(path, {"a.json": b"new"}, MotionClipError)
    assert read(path) == {"a.json": b"old"}
    assert [p.name for p in tmp_path.iterdir()] == ["box.zip"]


def test_a_folder_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(CharacterFileError, match="cannot be written"):
        write_archive(tmp_path / "no" / "box.zip", {"a.json": b""}, CharacterFileError)
    with pytest.raises(CharacterFileError, match="cannot be read"):
        read(tmp_path / "box.zip")
    with pytest.raises(CharacterFileError, match="cannot be read"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "no zip archive"),
        (b"GIF89a", "no zip archive"),
        (zipped([]), "no zip archive"),
        (zipped([("b.png", b"x")]), "lacks a.json"),
        (zipped([("a.json", b"x"), ("evil.py", b"x")]), "unexpected entry 'evil.py'"),
        (zipped([("a.json", b"x"), ("../../etc/passwd", b"x")]), "unexpected entry"),
        (zipped([("a.json", b"x"), ("/a.json", b"x")]), "unexpected entry"),
        (zipped([("a.json", b"x"), ("c/", b"")]), "unexpected entry"),
        (zipped([("a.json", b"x"), ("b.png", b"x"), ("c", b"x")]), "3 entries"),
        (zipped([("a.json", b"x" * 1001)]), "too large"),
        (zipped([("a.json", b"x")], zipfile.ZIP_BZIP2), "not supported"),
        (zipped([("a.json", b"x")], zipfile.ZIP_LZMA), "not supported"),
        (zipped([("a.json", b"x")], comment=b"hello"), "cut off or damaged"),
        (zipped([("a.json", b"x")]) + b"more", "cut off or damaged"),
    ],
)
def test_what_is_no_container_of_ours(data: bytes, says: str) -> None:
    with pytest.raises(CharacterFileError) as caught:
        read(data)
    assert says in caught.value.message and caught.value.hint == "Make it again."


def test_the_same_name_twice() -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        data = zipped([("a.json", b"x"), ("a.json", b"y")])
    with pytest.raises(CharacterFileError, match="same entry twice"):
        read(data)


def test_encrypted_entries() -> None:
    data = bytearray(zipped([("a.json", b"x")], zipfile.ZIP_STORED))
    at = data.index(b"PK\x01\x02")
    data[at + 8] |= 1
    with pytest.raises(CharacterFileError, match="encrypted"):
        read(bytes(data))


def test_a_bomb_that_lies_about_its_size_is_not_inflated() -> None:
    """50 MB of zeros declared as 500 bytes: reading stops at the declared size."""
    data = bytearray(zipped([("a.json", bytes(50_000_000))]))
    central = data.index(b"PK\x01\x02")
    struct.pack_into("<L", data, central + 24, 500)
    struct.pack_into("<L", data, 22, 500)
    tracemalloc.start()
    try:
        with pytest.raises(CharacterFileError, match="damaged"):
            read(bytes(data))
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


def test_a_directory_of_thousands_is_refused_unread() -> None:
    with pytest.raises(CharacterFileError, match="has 3000 entries, at most 2"):
        read(zipped([(f"{i}", b"") for i in range(3000)], zipfile.ZIP_STORED))


def test_a_file_larger_than_all_its_limits(tmp_path: Path) -> None:
    path = tmp_path / "big"
    path.write_bytes(bytes(1_100_000))
    for source in (path, path.read_bytes()):
        with pytest.raises(CharacterFileError, match=r"has 1\.0 MB, at most 1 MB"):
            read(source)


def test_cut_off_at_every_offset() -> None:
    data = zipped([("a.json", b'{"some": "content"}' * 3), ("b.png", bytes(range(256)))])
    for length in range(len(data)):
        with pytest.raises(CharacterFileError):
            read(data[:length])


def test_any_flipped_byte_gives_the_content_or_an_error() -> None:
    entries = [("a.json", b'{"some": "content"}' * 3), ("b.png", bytes(range(256)))]
    data = zipped(entries)
    rng = np.random.default_rng(1)
    for at in range(len(data)):
        damaged = bytearray(data)
        damaged[at] ^= int(rng.integers(1, 256))
        try:
            assert read(bytes(damaged)) == dict(entries)  # times and the like may differ without harm
        except CharacterFileError:
            pass


def test_arrays_come_back() -> None:
    arrays = {
        "x": np.arange(24, dtype=np.float32).reshape(2, 3, 4).transpose(2, 0, 1),
        "y": np.array([True, False]),
        "z": np.zeros((0, 3), np.int16),
        "h": np.ones(5, np.float16),
    }
    back = unpack_arrays(pack_arrays(arrays), "box", CharacterFileError, "")
    assert back.keys() == arrays.keys()
    for name, array in arrays.items():
        assert back[name].dtype == array.dtype and (back[name] == array).all() and back[name].shape == array.shape


def test_damaged_arrays_are_an_error_of_the_callers_kind() -> None:
    data = pack_arrays({"x": np.ones(4, np.float32)})
    hostile = [data[:n] for n in range(len(data))]
    hostile += [struct.pack("<Q", 1 << 60) + data[8:], struct.pack("<Q", 5) + b"[1,2]"]
    hostile += [data.replace(b'"F32"', b'"F99"'), data.replace(b"[0,16]", b"[8,16]")]
    for bad in hostile:
        with pytest.raises(MotionClipError, match="arrays cannot be read"):
            unpack_arrays(bad, "box", MotionClipError, "")
