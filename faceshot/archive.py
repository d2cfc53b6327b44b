"""The one reader and writer of our zip containers (`.faceshot`, `.motion`), hardened against damaged and hostile files.

Everything is judged before anything is unpacked: file size, size of the directory, names against a closed list,
declared sizes; reading then stops at the declared size whatever the compressed data says. Nothing is ever unpickled or
written outside the given path.
"""

from __future__ import annotations

import io
import os
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from faceshot.errors import FaceshotError

__all__ = ["pack_arrays", "read_archive", "unpack_arrays", "write_archive"]

MEGABYTE = 1 << 20
# Our own files have at most three entries; the directory of an honest one is some 200 bytes.
MAX_DIRECTORY_BYTES = 4096
_END_OF_DIRECTORY = struct.Struct("<4s4H2LH")
_STORED = {".png"}  # compressed already


def read_archive(
    source: Path | bytes,
    name: str,
    *,
    required: Mapping[str, int],
    optional: Mapping[str, int],
    error: type[FaceshotError],
    remake: str,
) -> dict[str, bytes]:
    """Entries of a zip container by name.

    Args:
        source: path or content.
        name: what messages call the file.
        required: names that must be there, each with the largest allowed uncompressed size in bytes.
        optional: names that may be there, likewise.
        error: class of all errors raised.
        remake: the hint of those errors: how to get a good file.

    Raises:
        FaceshotError: of class `error`, for anything that is not such a container.
    """

    def refuse(what: str) -> FaceshotError:
        return error(f"{name} {what}.", remake)

    allowed = {**required, **optional}
    data = _read_limited(source, sum(allowed.values()) + MAX_DIRECTORY_BYTES, name, error)
    if data[:4] != b"PK\x03\x04":
        raise refuse("is not such a file: it is no zip archive")
    if len(data) < _END_OF_DIRECTORY.size or data[-_END_OF_DIRECTORY.size :][:4] != b"PK\x05\x06":
        raise refuse(f"is cut off or damaged: its directory is not at its end ({len(data)} bytes)")
    *_, entries, directory_bytes, _offset, _comment = _END_OF_DIRECTORY.unpack(data[-_END_OF_DIRECTORY.size :])
    if directory_bytes > MAX_DIRECTORY_BYTES or entries > len(allowed):
        raise refuse(f"has {entries} entries, at most {len(allowed)} are allowed")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = archive.infolist()
            if len(infos) != entries:
                raise refuse(f"is damaged: {entries} entries were promised, {len(infos)} are there")
            _judge(infos, required, allowed, refuse)
            return {info.filename: _read_entry(archive, info) for info in infos}
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, struct.error, RuntimeError) as bad:
        raise refuse(f"is damaged ({bad})") from bad


def _read_limited(source: Path | bytes, limit: int, name: str, error: type[FaceshotError]) -> bytes:
    if isinstance(source, bytes):
        size, data = len(source), source
    else:
        try:
            size = source.stat().st_size
            data = source.read_bytes() if size <= limit else b""
        except OSError as bad:
            raise error(f"{source} cannot be read: {bad.strerror or bad}.") from bad
    if size > limit:
        raise error(f"{name} has {size / MEGABYTE:.1f} MB, at most {limit / MEGABYTE:.0f} MB are allowed.")
    return data


def _judge(
    infos: list[zipfile.ZipInfo],
    required: Mapping[str, int],
    allowed: Mapping[str, int],
    refuse: Callable[[str], FaceshotError],
) -> None:
    names = [info.filename for info in infos]
    if unknown := sorted(set(names) - set(allowed)):
        raise refuse(f"has the unexpected entry {unknown[0][:60]!r}")
    if len(set(names)) != len(names):
        raise refuse("has the same entry twice")
    if missing := sorted(set(required) - set(names)):
        raise refuse(f"lacks {missing[0]}")
    for info in infos:
        if info.flag_bits & 0x1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise refuse(f"is encrypted or packed in a way that is not supported ({info.filename})")
        if info.file_size > allowed[info.filename]:
            raise refuse(
                f"is too large: {info.filename} unpacks to {info.file_size / MEGABYTE:.1f} MB, "
                f"at most {allowed[info.filename] / MEGABYTE:.0f} MB are allowed"
            )


def _read_entry(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    # With an explicit size the decompressor is bounded too; a plain read() would inflate all that the data holds and
    # cut it to the declared size afterwards.
    with archive.open(info) as entry:
        data = entry.read(info.file_size + 1)
    if len(data) != info.file_size:
        raise ValueError(f"{info.filename} has {len(data)} bytes, {info.file_size} were declared")
    return data


def write_archive(path: Path, entries: Mapping[str, bytes], error: type[FaceshotError]) -> None:
    """Write a zip container so that `path` is either the old file or the whole new one, never a part of it.

    The same entries give the same bytes: no times are stored.

    Raises:
        FaceshotError: of class `error`, when it cannot be written (folder missing, disk full); `path` is as it was.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in entries.items():
            packed = zipfile.ZIP_STORED if Path(name).suffix in _STORED else zipfile.ZIP_DEFLATED
            info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            archive.writestr(info, data, compress_type=packed, compresslevel=9)
    temporary = ""
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        with os.fdopen(handle, "wb") as file:
            file.write(buffer.getvalue())
        os.chmod(temporary, 0o644)  # mkstemp makes it private; a character is meant to be shared
        os.replace(temporary, path)
    except OSError as bad:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        raise error(
            f"{path} cannot be written: {bad.strerror or bad}.", "Choose another folder or free space."
        ) from bad


def pack_arrays(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Named arrays as safetensors."""
    from safetensors.numpy import save

    return save({name: np.ascontiguousarray(array) for name, array in arrays.items()})


def unpack_arrays(data: bytes, name: str, error: type[FaceshotError], remake: str) -> dict[str, np.ndarray]:
    """The inverse of `pack_arrays`. Raises `error` when `data` is not safetensors."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        return load(data)
    except (SafetensorError, ValueError, TypeError, KeyError, AttributeError) as bad:
        raise error(f"{name} is damaged: its arrays cannot be read ({bad}).", remake) from bad
