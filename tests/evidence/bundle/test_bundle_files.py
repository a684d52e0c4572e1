"""Bundles come from other people: folders, archives, and archives that want to hurt."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from agent_sre.evidence.bundle import files
from agent_sre.evidence.bundle.files import BundleFiles, decompressed, open_files
from agent_sre.kit.errors import BadInput


def contents(found: BundleFiles) -> dict[str, bytes]:
    return {file.name: file.read() for file in found.files}


def tar(path: Path, fill: Callable[[tarfile.TarFile], None], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        fill(archive)
    return path


def add(archive: tarfile.TarFile, name: str, content: bytes = b"x", *, kind: bytes = tarfile.REGTYPE, link: str = "") -> None:
    member = tarfile.TarInfo(name)
    member.type, member.linkname, member.size = kind, link, len(content) if kind == tarfile.REGTYPE else 0
    archive.addfile(member, io.BytesIO(content))


def test_a_folder_is_read_file_by_file_and_compression_is_no_matter(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/one.txt").write_bytes(b"one")
    (tmp_path / "two.json.xz").write_bytes(lzma.compress(b"two"))
    (tmp_path / "three.gz").write_bytes(gzip.compress(b"three"))
    (tmp_path / "four.bz2").write_bytes(bz2.compress(b"four"))
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git/config").write_text("hidden")
    (tmp_path / ".hidden").write_text("hidden")
    found = open_files(tmp_path)
    assert contents(found) == {"a/one.txt": b"one", "four": b"four", "three": b"three", "two.json": b"two"}
    assert found.faults == ()


def test_links_out_of_a_folder_are_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hunter2")
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "link").symlink_to(secret)
    (bundle / "folder").symlink_to(tmp_path)
    os.mkfifo(bundle / "pipe")
    (bundle / "file").write_text("x")
    found = open_files(bundle)
    assert contents(found) == {"file": b"x"}
    assert {fault.file for fault in found.faults} == {"link", "pipe"}
    assert {fault.reason for fault in found.faults} == {"unsafe"}


def test_a_link_that_takes_a_files_place_is_not_followed_either(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (found,) = open_files(tmp_path).files
    (tmp_path / "file").unlink()
    (tmp_path / "file").symlink_to("/etc/passwd")
    with pytest.raises(BadInput, match="file cannot be read"):
        found.read()


@pytest.mark.parametrize(
    ("suffix", "mode"), [("tar", "w"), ("tar.gz", "w:gz"), ("tgz", "w:gz"), ("tar.xz", "w:xz"), ("tar.bz2", "w:bz2"), ("bin", "w:gz")]
)
def test_archives_are_read_by_what_they_are(tmp_path: Path, suffix: str, mode: str) -> None:
    def fill(archive: tarfile.TarFile) -> None:
        add(archive, "support/a.txt", b"one")
        add(archive, "./support/b/c.json.xz", lzma.compress(b"two"))
        add(archive, "support/.cache", b"hidden")

    before = sorted(tmp_path.iterdir())
    path = tar(tmp_path / f"bundle.{suffix}", fill, mode)
    assert contents(open_files(path)) == {"a.txt": b"one", "b/c.json": b"two"}
    assert sorted(tmp_path.iterdir()) == [*before, path]  # nothing was unpacked


def test_names_and_kinds_that_lead_out_of_a_tar_are_refused(tmp_path: Path) -> None:
    def fill(archive: tarfile.TarFile) -> None:
        add(archive, "good.txt")
        add(archive, "/etc/cron.d/evil")
        add(archive, "a/../../evil")
        add(archive, "..\\evil")
        add(archive, "link", kind=tarfile.SYMTYPE, link="/etc/passwd")
        add(archive, "hard", kind=tarfile.LNKTYPE, link="good.txt")
        add(archive, "device", kind=tarfile.CHRTYPE)
        add(archive, "pipe", kind=tarfile.FIFOTYPE)

    found = open_files(tar(tmp_path / "evil.tar", fill))
    assert contents(found) == {"good.txt": b"x"}
    assert len(found.faults) == 7
    assert {fault.reason for fault in found.faults} == {"unsafe"}


def test_names_and_kinds_that_lead_out_of_a_zip_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "evil.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("good.txt", "x")
        archive.writestr("../evil", "x")
        archive.writestr("/evil", "x")
        link = zipfile.ZipInfo("link")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    found = open_files(path)
    assert contents(found) == {"good.txt": b"x"}
    assert len(found.faults) == 3


def test_a_bomb_is_left_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_FILE_BYTES", 100_000)
    monkeypatch.setattr(files, "MAX_TOTAL_BYTES", 300_000)
    zeros = bytes(10_000_000)
    (tmp_path / "bomb.xz").write_bytes(lzma.compress(zeros))
    (tmp_path / "bomb.gz").write_bytes(gzip.compress(zeros))
    for file in open_files(tmp_path).files:
        with pytest.raises(BadInput) as caught:
            file.read()
        assert caught.value.reason == "too_large"

    def one_large(archive: tarfile.TarFile) -> None:
        add(archive, "a.txt")
        add(archive, "large", bytes(150_000))
        add(archive, "b.txt")

    found = open_files(tar(tmp_path / "large.tar.gz", one_large, "w:gz"))
    assert contents(found) == {"a.txt": b"x", "b.txt": b"x"}
    assert [fault.reason for fault in found.faults] == ["too_large"]

    def many(archive: tarfile.TarFile) -> None:
        for number in range(10):
            add(archive, f"{number}", bytes(90_000))

    found = open_files(tar(tmp_path / "many.tar.gz", many, "w:gz"))
    assert 0 < len(found.files) < 10
    assert "more than 300,000 bytes" in found.faults[-1].detail
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.txt", "x")
        archive.writestr("bomb", zeros)
    found = open_files(tmp_path / "bomb.zip")
    assert contents(found) == {"a.txt": b"x"}
    assert [fault.reason for fault in found.faults] == ["too_large"]


def test_a_million_files_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_FILES", 3)
    for number in range(6):
        (tmp_path / f"{number}").write_text("x")

    def fill(archive: tarfile.TarFile) -> None:
        for number in range(6):
            add(archive, f"{number}")

    path = tar(tmp_path / "many.tar", fill)
    for found in (open_files(tmp_path), open_files(path)):
        assert len(found.files) == 3
        assert found.faults[-1].reason == "too_large"


def test_what_stands_before_the_damage_is_kept(tmp_path: Path) -> None:
    def fill(archive: tarfile.TarFile) -> None:
        add(archive, "a.txt", b"one")
        add(archive, "b.txt", os.urandom(200_000))

    path = tar(tmp_path / "whole.tar.gz", fill, "w:gz")
    (tmp_path / "half.tar.gz").write_bytes(path.read_bytes()[:100_000])
    found = open_files(tmp_path / "half.tar.gz")
    assert contents(found) == {"a.txt": b"one"}
    assert found.faults[0].reason == "unreadable"


@pytest.mark.parametrize("content", [b"", b"no bundle", b"\x1f\x8b broken", b"\xfd7zXZ\x00 broken", b"PK\x03\x04 broken", b"BZh broken"])
@pytest.mark.parametrize("name", ["bundle.tar.gz", "bundle.zip", "bundle"])
def test_what_is_no_bundle_is_refused_in_one_sentence(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInput) as caught:
        open_files(tmp_path / name)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(BadInput, match="There is no bundle"):
        open_files(tmp_path / "missing")


@pytest.mark.parametrize("name", ["a.xz", "a.gz", "a.bz2"])
def test_a_file_that_is_cut_off_says_so(name: str) -> None:
    content = os.urandom(5_000)
    packed = {"a.xz": lzma.compress(content), "a.gz": gzip.compress(content), "a.bz2": bz2.compress(content)}[name]
    for broken in (packed[:-500], b"junk", b""):
        with pytest.raises(BadInput, match="cannot be unpacked"):
            decompressed(name, broken)
