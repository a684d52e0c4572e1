"""The files of a bundle: of a folder, a tar or a zip archive, compressed or not. Nothing is written to the disk, and nothing outside is read.

Bundles come from other people, so everything is bounded: files, bytes per file, bytes in all, after decompression. Absolute names, `..`, links
and devices are refused by name. A folder's files are read when they are wanted; an archive is read once, because it has to be.
"""

from __future__ import annotations

import bz2
import lzma
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Protocol

from agent_sre.evidence.bundle.faults import Fault, fault
from agent_sre.kit.errors import BadInput

MAX_FILES = 20_000
"""A cluster with 5,000 pods dumps about as many files."""

MAX_FILE_BYTES = 64 * 1024 * 1024
"""Of one file, decompressed."""

MAX_TOTAL_BYTES = 256 * 1024 * 1024
"""Of an archive, decompressed: it is held in memory."""

_CHUNK = 1024 * 1024
_XZ_MEMORY = 128 * 1024 * 1024
_COMPRESSIONS = (".xz", ".gz", ".bz2")
_TARS = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2")


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleFile:
    """One file of a bundle."""

    name: str  # its path inside the bundle, with slashes, without the suffix of a compression
    read: Callable[[], bytes]  # its content, decompressed. Raises BadInput, with a sentence, where that is impossible


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleFiles:
    """All files of a bundle in the order of their names, and what was left out."""

    files: tuple[BundleFile, ...]
    faults: tuple[Fault, ...]


def open_files(path: Path) -> BundleFiles:
    """The files of a folder or an archive. Raises BadInput where there is neither."""
    try:
        if path.is_dir():
            return _of_folder(path)
        if not path.is_file():
            raise BadInput(f"There is no bundle at {path}.")
        if zipfile.is_zipfile(path):
            return _of_zip(path)
        if path.name.lower().endswith(_TARS) or tarfile.is_tarfile(path):
            return _of_tar(path)
    except (OSError, EOFError, tarfile.TarError, zlib.error, lzma.LZMAError) as error:
        raise BadInput(f"Cannot read the bundle {path}: {_words(error)}.") from error
    raise BadInput(f"{path} is no bundle: a folder, a tar (also .gz, .xz, .bz2) or a zip is needed.")


# A folder


def _of_folder(root: Path) -> BundleFiles:
    found: list[BundleFile] = []
    faults: list[Fault] = []
    for path, name in _walk(root, faults):
        if len(found) >= MAX_FILES:
            faults.append(fault(name, "too_large", f"The bundle has more than {MAX_FILES:,} files; the rest is left out."))
            break
        found.append(BundleFile(name=_plain_name(name), read=_reader_of(path, name)))
    return BundleFiles(files=tuple(sorted(found, key=lambda item: item.name)), faults=tuple(faults))


def _walk(root: Path, faults: list[Fault]) -> Iterator[tuple[Path, str]]:
    for folder, folders, names in os.walk(root):
        folders.sort()
        for name in [*folders]:
            if name.startswith(".") or Path(folder, name).is_symlink():
                folders.remove(name)
        for name in sorted(names):
            path = Path(folder, name)
            shown = path.relative_to(root).as_posix()
            if name.startswith("."):
                continue
            mode = path.lstat().st_mode
            if stat.S_ISREG(mode):
                yield path, shown
            else:
                faults.append(fault(shown, "unsafe", "It is a link or a device, and only files are read."))


def _reader_of(path: Path, name: str) -> Callable[[], bytes]:
    def read() -> bytes:
        try:
            # A link could have taken the file's place since the look at the folder.
            with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
                content = file.read(MAX_FILE_BYTES + 1)
        except OSError as error:
            raise BadInput(f"{name} cannot be read: {error.strerror}.") from error
        return decompressed(name, content)

    return read


# Archives


class _Readable(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


class _Bounded:
    """A stream that ends with an error instead of filling the memory."""

    def __init__(self, stream: _Readable) -> None:
        self._stream = stream
        self._left = MAX_TOTAL_BYTES

    def read(self, size: int = -1, /) -> bytes:
        """At most what is left and one byte."""
        content = self._stream.read(min(size, self._left + 1) if size >= 0 else self._left + 1)
        self._left -= len(content)
        if self._left < 0:
            raise tarfile.ReadError(f"it holds more than {MAX_TOTAL_BYTES:,} bytes")
        return content


def _of_tar(path: Path) -> BundleFiles:
    """What stands before the first damage is kept: a bundle whose upload broke off still tells something."""
    found: list[BundleFile] = []
    faults: list[Fault] = []
    with _opened(path) as stream:
        try:
            with tarfile.open(fileobj=_Bounded(stream), mode="r|") as archive:  # type: ignore[call-overload]
                for member in archive:
                    if len(found) + len(faults) >= MAX_FILES:
                        faults.append(fault(member.name, "too_large", f"The archive has more than {MAX_FILES:,} entries; the rest is left out."))
                        break
                    if not member.isdir():
                        _take(archive, member, found, faults)
        except (OSError, EOFError, tarfile.TarError, zlib.error, lzma.LZMAError, ValueError, OverflowError) as error:
            if not found:
                raise BadInput(f"Cannot read the bundle {path}: {_words(error)}.") from error
            faults.append(fault(path.name, "unreadable", f"The archive cannot be read to its end: {_words(error)}."))
    return BundleFiles(files=_common_folder_cut(found), faults=tuple(faults))


def _take(archive: tarfile.TarFile, member: tarfile.TarInfo, found: list[BundleFile], faults: list[Fault]) -> None:
    problem = _unsafe_name(member.name)
    if problem or not member.isreg() or member.issparse():
        faults.append(fault(member.name, "unsafe", problem or "It is a link, a device or a sparse file, and only plain files are read."))
    elif member.size > MAX_FILE_BYTES:
        faults.append(fault(member.name, "too_large", f"It has {member.size:,} bytes; {MAX_FILE_BYTES:,} are read at most."))
    elif not _is_hidden(member.name):
        file = archive.extractfile(member)
        content = file.read() if file is not None else b""
        found.append(_held(member.name, content))


def _opened(path: Path) -> IO[bytes]:
    with path.open("rb") as file:
        head = file.read(6)
    if head.startswith(b"\x1f\x8b"):
        import gzip

        return gzip.open(path, "rb")  # type: ignore[return-value]
    if head.startswith(b"\xfd7zXZ\x00"):
        return lzma.open(path, "rb")
    if head.startswith(b"BZh"):
        return bz2.open(path, "rb")
    return path.open("rb")


def _of_zip(path: Path) -> BundleFiles:
    found: list[BundleFile] = []
    faults: list[Fault] = []
    left = MAX_TOTAL_BYTES
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            for entry in entries[:MAX_FILES]:
                if entry.is_dir():
                    continue
                problem = _unsafe_entry(entry)
                if not problem and entry.file_size > min(MAX_FILE_BYTES, left):
                    faults.append(fault(entry.filename, "too_large", f"It has {entry.file_size:,} bytes, which is more than is read of a bundle."))
                elif problem:
                    faults.append(fault(entry.filename, "unsafe", problem))
                elif not _is_hidden(entry.filename):
                    content = _unzipped(archive, entry, faults)
                    left -= len(content)
                    found.append(_held(entry.filename, content))
            if len(entries) > MAX_FILES:
                faults.append(fault(path.name, "too_large", f"The archive has more than {MAX_FILES:,} entries; the rest is left out."))
    except zipfile.BadZipFile as error:
        raise BadInput(f"Cannot read the bundle {path}: {_words(error)}.") from error
    return BundleFiles(files=_common_folder_cut(found), faults=tuple(faults))


def _unzipped(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, faults: list[Fault]) -> bytes:
    try:
        with archive.open(entry) as file:
            return file.read(entry.file_size + 1)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        faults.append(fault(entry.filename, "unreadable", f"It cannot be unpacked: {_words(error)}."))
        return b""


def _unsafe_entry(entry: zipfile.ZipInfo) -> str:
    if stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG):
        return "It is a link or a device, and only files are read."
    if entry.flag_bits & 0x1:
        return "It is encrypted."
    return _unsafe_name(entry.filename)


def _unsafe_name(name: str) -> str:
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if not parts or name.startswith(("/", "\\")) or ".." in parts or "\0" in name or (len(name) > 1 and name[1] == ":"):
        return "Its name leads out of the bundle."
    return ""


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") and part != "." for part in PurePosixPath(name).parts)


def _held(name: str, content: bytes) -> BundleFile:
    shown = PurePosixPath(name).as_posix()
    return BundleFile(name=_plain_name(shown), read=lambda: decompressed(shown, content))


def _common_folder_cut(files: list[BundleFile]) -> tuple[BundleFile, ...]:
    """Without the one folder that archives are usually packed in."""
    tops = {file.name.partition("/")[0] for file in files}
    if len(tops) == 1 and all("/" in file.name for file in files):
        files = [BundleFile(name=file.name.partition("/")[2], read=file.read) for file in files]
    return tuple(sorted(files, key=lambda item: item.name))


# Compression


def decompressed(name: str, content: bytes) -> bytes:
    """The content of a file with this name. Raises BadInput where it is damaged, or larger than MAX_FILE_BYTES."""
    suffix = next((suffix for suffix in _COMPRESSIONS if name.lower().endswith(suffix)), "")
    try:
        plain = _unpacked(suffix, content) if suffix else content
    except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError) as error:
        raise BadInput(f"{name} cannot be unpacked: {_words(error)}.", reason="unreadable") from error
    if len(plain) > MAX_FILE_BYTES:
        raise BadInput(f"{name} has more than {MAX_FILE_BYTES:,} bytes.", reason="too_large")
    return plain


def _unpacked(suffix: str, content: bytes) -> bytes:
    if suffix == ".xz":
        xz = lzma.LZMADecompressor(memlimit=_XZ_MEMORY)
        plain, ended = xz.decompress(content, MAX_FILE_BYTES + 1), xz.eof
    elif suffix == ".gz":
        gz = zlib.decompressobj(wbits=31)
        plain, ended = gz.decompress(content, MAX_FILE_BYTES + 1), gz.eof
    else:
        bz = bz2.BZ2Decompressor()
        plain, ended = bz.decompress(content, MAX_FILE_BYTES + 1), bz.eof
    if not ended and len(plain) <= MAX_FILE_BYTES:
        raise EOFError("it ends too early")
    return plain


def _plain_name(name: str) -> str:
    suffix = next((suffix for suffix in _COMPRESSIONS if name.lower().endswith(suffix)), "")
    return name[: -len(suffix)] if suffix else name


def _words(error: Exception) -> str:
    text = str(error) or type(error).__name__
    return (error.strerror or text) if isinstance(error, OSError) and error.strerror else text.rstrip(".")
