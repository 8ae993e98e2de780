"""Compiled code on the disk: what is found again, by how many processes at once, and what no failure may break."""

from __future__ import annotations

import errno
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest

from recurrent_dynamics.cli import main
from recurrent_dynamics.kernels import archive, disk, entries, files, locks
from recurrent_dynamics.kernels.disk import Disk

BUILD, OTHER = "1f", "2e"
KEY, PAYLOAD = "tanh float64", bytes(range(256)) * 9
POSIX = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and signals")
START = """
import os, sys, time
from recurrent_dynamics.kernels import disk, locks
from recurrent_dynamics.kernels.tuning import tuning
folder, *arguments = sys.argv[1:]
d = disk.Disk(folder)
"""


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def kept(folder):
    return Disk(folder)


@pytest.fixture(autouse=True)
def _no_failure_yet(monkeypatch):
    monkeypatch.setattr(disk, "_failures", itertools.count())


@pytest.fixture(autouse=True)
def _no_claim_is_left():
    yield
    assert not locks.claimed()


def entry(kept, key=KEY, build=BUILD):
    return Path(kept._path(key, build))


def names(folder):
    return sorted(path.name for path in Path(folder).rglob("*") if path.is_file())


def start(program, *arguments):
    command = [sys.executable, "-c", START + program, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def ended(process, seconds=30):
    output, _ = process.communicate(timeout=seconds)
    assert process.returncode == 0
    return output


def age(path, seconds):
    then = time.time() - seconds
    os.utime(path, (then, then))


def fail_with(number):
    def fail(*_, **__):
        raise OSError(number, os.strerror(number))

    return fail


def test_a_payload_is_found_again_under_its_key_and_build(kept, folder):
    assert kept.load(KEY, BUILD) is None
    assert kept.load_or_claim(KEY, BUILD) is None
    kept.store(KEY, BUILD, PAYLOAD)
    assert Disk(folder).load(KEY, BUILD) == PAYLOAD
    assert Disk(folder).load_or_claim(KEY, BUILD) == PAYLOAD
    assert kept.load("tanh float32", BUILD) is None
    assert kept.load(KEY, OTHER) is None
    assert names(folder) == [entries.file_name(KEY)]


@pytest.mark.parametrize("payload", [b"", b"\0", PAYLOAD])
@pytest.mark.parametrize("key", ["", "tanh ∘ σ\n" * 1000])
def test_keys_and_payloads_of_any_length(kept, key, payload):
    kept.store(key, BUILD, payload)
    assert kept.load(key, BUILD) == payload


@pytest.mark.parametrize("build", ["", "..", "1F", "a/b", "g", "1" * 65])
def test_a_build_that_is_no_hexadecimal_number_is_refused(kept, build):
    with pytest.raises(ValueError, match=r"build must be .*; came '"):
        kept.load(KEY, build)


def test_another_key_of_the_same_hash_is_absent_and_replaced(kept, monkeypatch):
    monkeypatch.setattr(entries, "file_name", lambda key: f"{'0' * 40}.bin")
    kept.store(KEY, BUILD, PAYLOAD)
    assert kept.load("another", BUILD) is None
    kept.store("another", BUILD, b"other")
    assert kept.load("another", BUILD) == b"other"
    assert kept.load(KEY, BUILD) is None


def test_every_cut_and_every_changed_byte_is_absent_and_replaced(kept):
    kept.store(KEY, BUILD, b"payload")
    path = entry(kept)
    whole = path.read_bytes()
    for place in range(len(whole)):
        for damaged in (whole[:place], whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]):
            path.write_bytes(damaged)
            assert kept.load(KEY, BUILD) is None
    path.write_bytes(whole + b"\0")
    assert kept.load_or_claim(KEY, BUILD) is None
    kept.store(KEY, BUILD, PAYLOAD)
    assert kept.load(KEY, BUILD) == PAYLOAD


def test_a_folder_under_the_name_of_an_entry_is_absent(kept):
    entry(kept).mkdir(parents=True)
    assert kept.load(KEY, BUILD) is None
    with pytest.warns(RuntimeWarning, match="directory"):
        kept.store(KEY, BUILD, PAYLOAD)


@pytest.mark.parametrize("nothing", [Disk(None), Disk("anywhere", limit=0)], ids=["folder", "limit"])
def test_a_disk_can_keep_nothing(nothing, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert nothing.load_or_claim(KEY, BUILD) is None
    nothing.store(KEY, BUILD, PAYLOAD)
    nothing.release(KEY, BUILD)
    assert nothing.load(KEY, BUILD) is None
    assert nothing.info().files == nothing.clear() == 0
    assert not nothing.can_store()
    with pytest.raises(ValueError, match="keeps no compiled code"):
        nothing.export(tmp_path / "archive")
    with pytest.raises(ValueError, match="keeps no compiled code"):
        nothing.import_(tmp_path / "archive")
    assert names(tmp_path) == []


def test_a_relative_folder_stays_where_it_was(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    kept = Disk("cache")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    kept.store(KEY, BUILD, PAYLOAD)
    assert names(tmp_path / "cache")


# Claims


def test_a_process_does_not_wait_for_itself(kept, folder):
    assert kept.load_or_claim(KEY, BUILD) is None
    assert kept.load_or_claim(KEY, BUILD) is None
    assert Disk(folder).load_or_claim(KEY, BUILD) is None
    got = []
    thread = threading.Thread(target=lambda: got.append(kept.load_or_claim(KEY, BUILD)))
    thread.start()
    thread.join(10)
    assert got == [None]
    kept.store(KEY, BUILD, PAYLOAD)
    assert kept.load_or_claim(KEY, BUILD) == PAYLOAD


def test_a_release_without_a_claim_is_harmless(kept, folder):
    kept.release(KEY, BUILD)
    assert kept.load_or_claim(KEY, BUILD) is None
    kept.release(KEY, BUILD)
    kept.release(KEY, BUILD)
    assert names(folder) == []


MANY = """
rounds = int(arguments[0])
with open(arguments[1], "a") as log:
    print(end="ready ", flush=True)
    sys.stdin.readline()
    for number in range(rounds):
        for name in ("a", "b") if os.getpid() % 2 else ("b", "a"):
            key = f"{number}{name}"
            payload = d.load_or_claim(key, "1f")
            if payload is None:
                assert locks.claimed()
                time.sleep(0.01)
                log.write(key + "\\n")
                log.flush()
                payload = key.encode() * 50_000
                d.store(key, "1f", payload)
            assert payload == key.encode() * 50_000
"""


def test_eight_processes_make_each_payload_once(folder, tmp_path):
    log = tmp_path / "log"
    command = [sys.executable, "-c", START + MANY, folder, "25", log]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen([str(c) for c in command], **pipes) for _ in range(8)]
    for process in processes:
        assert process.stdout.read(5) == "ready"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        ended(process, 60)
    made = log.read_text().split()
    assert sorted(made) == sorted(f"{number}{name}" for number in range(25) for name in "ab")
    assert len(names(folder)) == 50  # and no lock or temporary file


CLAIM = """
assert d.load_or_claim(arguments[0], "1f") is None
print("claimed", flush=True)
time.sleep(60)
"""


@POSIX
def test_a_killed_process_blocks_nobody(kept, folder):
    process = start(CLAIM, folder, KEY)
    assert process.stdout.readline() == "claimed\n"
    threading.Timer(0.3, process.kill).start()
    begin = time.monotonic()
    assert kept.load_or_claim(KEY, BUILD) is None
    assert locks.claimed()
    assert 0.2 < time.monotonic() - begin < 20
    assert process.wait() == -signal.SIGKILL
    process.stdout.close()
    kept.store(KEY, BUILD, PAYLOAD)
    assert names(folder) == [entries.file_name(KEY)]


@POSIX
def test_waiting_ends(kept, folder, tune):
    process = start(CLAIM, folder, KEY)
    assert process.stdout.readline() == "claimed\n"
    tune(compile_wait=0.1)
    assert kept.load_or_claim(KEY, BUILD) is None
    assert not locks.claimed()
    # Whoever has a claim may be waited for, and waits less.
    tune(compile_wait=1000, compile_wait_with_claims=0.1)
    assert kept.load_or_claim("another", BUILD) is None
    assert kept.load_or_claim(KEY, BUILD) is None
    kept.release("another", BUILD)
    kept.store(KEY, BUILD, PAYLOAD)  # compiled without the claim
    assert kept.load(KEY, BUILD) == PAYLOAD
    process.kill()
    process.communicate()


FAIL = """
assert d.load_or_claim(arguments[0], "1f") is None
print("claimed", flush=True)
time.sleep(0.3)
d.release(arguments[0], "1f")
print("released", flush=True)
time.sleep(60)
"""


def test_after_a_failure_another_process_compiles(kept, folder):
    process = start(FAIL, folder, KEY)
    assert process.stdout.readline() == "claimed\n"
    assert kept.load_or_claim(KEY, BUILD) is None
    assert process.stdout.readline() == "released\n"
    assert locks.claimed()
    kept.store(KEY, BUILD, PAYLOAD)
    process.kill()
    process.communicate()


FORK = """
def in_child(function):
    child = os.fork()
    if not child:
        try:
            function()
        except BaseException:
            os._exit(1)
        os._exit(0)
    return child

def waits():
    assert not locks.claimed()
    begin = time.monotonic()
    with tuning(compile_wait=0.2):
        assert d.load_or_claim("key", "1f") is None
    assert not locks.claimed() and time.monotonic() - begin > 0.15
    d.release("key", "1f")

def gets():
    assert d.load_or_claim("key", "1f") == b"payload"

def ends_well(child):
    assert os.waitpid(child, 0)[1] == 0

assert d.load_or_claim("key", "1f") is None
for _ in range(2):
    ends_well(in_child(waits))  # and its end leaves the claim to the parent
children = [in_child(gets) for _ in range(3)]
d.store("key", "1f", b"payload")
for child in children:
    ends_well(child)

# A claim ends with its process, although a child lives on.
assert d.load_or_claim("other", "1f") is None
child = os.fork()
if not child:
    time.sleep(60)
print(child, flush=True)
os._exit(0)
"""


@POSIX
def test_a_child_has_no_claim_of_its_parent(kept, folder):
    process = start(FORK, folder)
    child = int(process.stdout.readline())
    try:
        process.wait(30)
        begin = time.monotonic()
        assert kept.load_or_claim("other", BUILD) is None
        assert locks.claimed()
        assert time.monotonic() - begin < 20
        kept.release("other", BUILD)
    finally:
        os.kill(child, signal.SIGKILL)
        process.stdout.close()
    assert process.returncode == 0


@POSIX
def test_a_lock_file_that_was_removed_meanwhile_is_no_claim(tmp_path, monkeypatch):
    path = str(tmp_path / "lock")
    lock, opened = locks._lock, []

    def removed_before(handle):
        opened.append(os.fstat(handle).st_ino)
        if len(opened) == 1:
            os.unlink(path)
            Path(f"{path}2").write_bytes(b"")  # so that the next lock file has another inode
        lock(handle)

    monkeypatch.setattr(locks, "_lock", removed_before)
    assert locks.try_claim(path)
    assert len(opened) == 2
    assert os.stat(path).st_ino == opened[-1]
    locks.release(path)
    assert not os.path.exists(path)


@POSIX
def test_a_copy_of_the_handle_elsewhere_does_not_keep_a_claim(tmp_path, monkeypatch):
    path = str(tmp_path / "lock")
    assert locks.try_claim(path)
    copy = os.dup(locks._claims[path])  # as in a child that the C library forked
    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", fail_with(errno.EACCES))
        locks.release(path)
    assert os.path.exists(path)
    assert locks.try_claim(path)
    locks.release(path)
    os.close(copy)


def test_without_locks_code_is_kept_all_the_same(kept, folder, monkeypatch):
    monkeypatch.setattr(locks, "_lock", fail_with(errno.ENOLCK))
    assert kept.load_or_claim(KEY, BUILD) is None
    assert names(folder) == []
    kept.store(KEY, BUILD, PAYLOAD)
    assert kept.load_or_claim(KEY, BUILD) == PAYLOAD


# Failures


def fails_once(kept, match):
    """A working call and one warning, however often it fails."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(3):
            assert kept.load_or_claim(KEY, BUILD) is None
            kept.store(KEY, BUILD, PAYLOAD)
    assert [warning.category for warning in caught] == [RuntimeWarning]
    text = str(caught[0].message)
    assert match in text
    assert "compiled code is not kept" in text
    assert "set RECURRENT_DYNAMICS_CACHE_DIR to" in text
    assert caught[0].filename == __file__


def test_a_folder_that_cannot_be_made_is_one_warning(tmp_path):
    (tmp_path / "file").write_text("")
    folder = tmp_path / "file" / "cache"
    fails_once(Disk(folder), f"{folder} ({os.strerror(errno.ENOTDIR)})")
    assert not Disk(folder).info().writable
    assert not Disk(folder).can_store()


def test_a_full_disk_is_one_warning_and_leaves_nothing(kept, folder, monkeypatch):
    monkeypatch.setattr(os, "replace", fail_with(errno.ENOSPC))
    fails_once(kept, f"{folder} ({os.strerror(errno.ENOSPC)})")
    assert names(folder) == []


def test_what_another_process_has_written_meanwhile_is_no_failure(kept, monkeypatch):
    replace = os.replace

    def written_before(a, b):
        replace(a, b)
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "replace", written_before)
    kept.store(KEY, BUILD, PAYLOAD)
    assert kept.load(KEY, BUILD) == PAYLOAD


def test_a_write_that_fails_half_way_leaves_nothing(kept, folder, monkeypatch):
    write_whole = entries.write_whole

    class Full:
        def __init__(self, file):
            self.file = file

        def write(self, content):
            self.file.write(content[:10])
            fail_with(errno.ENOSPC)()

    full = lambda path, write: write_whole(path, lambda file: write(Full(file)))
    monkeypatch.setattr(entries, "write_whole", full)
    fails_once(kept, os.strerror(errno.ENOSPC))
    assert names(folder) == []


def test_what_is_in_a_folder_that_can_only_be_read_is_read(kept, monkeypatch):
    kept.store(KEY, BUILD, PAYLOAD)
    age(entry(kept), 7200)
    read_only, real = fail_with(errno.EROFS), os.open
    monkeypatch.setattr(os, "utime", read_only)
    monkeypatch.setattr(os, "open", lambda p, f, *a: read_only() if f & os.O_CREAT else real(p, f, *a))
    monkeypatch.setattr(entries, "write_whole", read_only)
    assert kept.load(KEY, BUILD) == kept.load_or_claim(KEY, BUILD) == PAYLOAD
    assert kept.load_or_claim("another", BUILD) is None
    with pytest.warns(RuntimeWarning, match=os.strerror(errno.EROFS)):
        kept.store("another", BUILD, PAYLOAD)


def test_a_warning_that_is_an_error_leaves_no_claim(kept, monkeypatch):
    monkeypatch.setattr(os, "replace", fail_with(errno.ENOSPC))
    assert kept.load_or_claim(KEY, BUILD) is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(RuntimeWarning):
            kept.store(KEY, BUILD, PAYLOAD)
    assert not locks.claimed()


def test_an_interrupt_leaves_no_claim_and_no_file(kept, folder, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    assert kept.load_or_claim(KEY, BUILD) is None
    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        kept.store(KEY, BUILD, PAYLOAD)
    assert names(folder) == []


def test_a_folder_that_is_cleared_meanwhile_is_made_again(kept, folder, monkeypatch):
    replace, calls = os.replace, []

    def cleared_before(a, b):
        calls.append(a)
        if len(calls) == 1:
            Disk(folder).clear()
            assert list(folder.iterdir()) == []
        replace(a, b)

    monkeypatch.setattr(os, "replace", cleared_before)
    kept.store(KEY, BUILD, PAYLOAD)
    assert len(calls) == 2
    assert kept.load(KEY, BUILD) == PAYLOAD


# What goes


def test_left_over_files_go_after_an_hour(kept, folder):
    kept.store("first", BUILD, PAYLOAD)
    left = [entry(kept).with_suffix(f".bin{kind}") for kind in (f".{'0' * 16}.tmp", ".lock")]
    young = [entry(kept, "young").with_suffix(f".bin{kind}") for kind in (f".{'0' * 16}.tmp", ".lock")]
    strange = entry(kept).with_name("notes.tmp")
    for path in (*left, *young, strange):
        path.write_bytes(b"")
    for path in (*left, strange):
        age(path, 3700)
    kept.store("second", BUILD, PAYLOAD)
    assert not any(path.exists() for path in left)
    assert all(path.exists() for path in (*young, strange))


def test_a_claim_is_not_left_over_however_old(kept):
    assert kept.load_or_claim(KEY, BUILD) is None
    lock = entry(kept).with_suffix(".bin.lock")
    age(lock, 7200)
    kept.store("another", BUILD, PAYLOAD)
    kept.clear()
    assert lock.exists()
    assert locks.claimed(str(lock))
    kept.release(KEY, BUILD)


def test_the_first_entry_of_a_build_removes_all_but_four_builds(kept, folder):
    for number in range(4):
        for key in ("a", "b"):
            kept.store(key, f"{number}", PAYLOAD)
            age(entry(kept, key, f"{number}"), 3600 * (10 - number))
    kept.load("b", "0")  # used now
    kept.store("a", "4", PAYLOAD)
    assert sorted(path.name for path in folder.iterdir()) == ["0", "2", "3", "4"]
    # A build that is back from elsewhere stays until the first entry of the next one.
    (folder / "5").mkdir()
    entry(kept, "a", "4").rename(entry(kept, "a", "5"))
    kept.store("a", "4", PAYLOAD)
    kept.store("b", "4", PAYLOAD)
    assert len(kept.info().builds) == 4


def test_above_the_limit_the_least_recently_used_go_those_of_other_builds_first(folder):
    size = len(entries.pack("0", PAYLOAD))
    kept = Disk(folder, limit=3 * size)
    for number, build in enumerate((BUILD, OTHER, BUILD)):
        kept.store(f"{number}", build, PAYLOAD)
        age(entry(kept, f"{number}", build), 3600 * (10 - number))
    there = lambda: [f"{n}" for n in range(9) for b in (BUILD, OTHER) if entry(kept, f"{n}", b).exists()]
    kept.store("3", BUILD, PAYLOAD)
    assert there() == ["0", "2", "3"]
    kept.load("0", BUILD)  # used now
    kept.store("4", BUILD, PAYLOAD)
    assert there() == ["0", "3", "4"]
    assert kept.info().size == 3 * size
    # The one that was just written stays, however large.
    kept.store("5", BUILD, PAYLOAD * 5)
    assert there() == ["5"]


def test_loading_tells_the_time_of_use_once_an_hour(kept):
    kept.store(KEY, BUILD, PAYLOAD)
    for seconds, is_told in ((3000, False), (4000, True)):
        age(entry(kept), seconds)
        before = entry(kept).stat().st_mtime_ns
        kept.load(KEY, BUILD)
        assert (entry(kept).stat().st_mtime_ns != before) == is_told
    entry(kept).write_bytes(b"damaged")
    age(entry(kept), 4000)
    before = entry(kept).stat().st_mtime_ns
    assert kept.load(KEY, BUILD) is None
    assert entry(kept).stat().st_mtime_ns == before


def test_info_and_clear_see_the_files_of_the_disk_only(kept, folder):
    for key, build in (("a", BUILD), ("b", BUILD), ("a", OTHER)):
        kept.store(key, build, PAYLOAD)
    age(entry(kept, "a", OTHER), 7200)
    strange = [folder / "notes", folder / "docs" / entries.file_name("a"), folder / BUILD / "notes.bin"]
    for path in strange:
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    (folder / "abc").symlink_to(folder / BUILD)
    info = kept.info()
    size = len(entries.pack("a", PAYLOAD))
    assert info.folder == folder
    assert info.writable
    assert kept.can_store()
    assert (info.files, info.size) == (3, 3 * size)
    assert [(b.name, b.files, b.size) for b in info.builds] == [(BUILD, 2, 2 * size), (OTHER, 1, size)]
    assert abs(time.time() - info.builds[0].last_use) < 600 < time.time() - info.builds[1].last_use
    assert kept.clear() == 3 * size
    assert all(path.read_text() == "mine" for path in strange)
    assert not (folder / OTHER).exists()
    assert kept.info().files == 0


def test_clear_says_what_it_cannot_remove(kept, monkeypatch):
    kept.store("a", BUILD, PAYLOAD)
    kept.store("b", BUILD, PAYLOAD)
    unlink, first = os.unlink, files.found(kept._folder)[0].path
    monkeypatch.setattr(
        os, "unlink", lambda path: fail_with(errno.EROFS)() if path == first else unlink(path)
    )
    with pytest.raises(OSError, match=os.strerror(errno.EROFS)):
        kept.clear()
    assert kept.info().files == 1


# Archives


@pytest.fixture
def exported(kept, tmp_path):
    for key, build in (("a", BUILD), ("b", BUILD), ("a", OTHER)):
        kept.store(key, build, key.encode() * 1000)
    path = tmp_path / "archive"
    assert kept.export(path) == archive.Moved(3, kept.info().size)
    return path


def test_an_archive_brings_its_entries_to_another_disk(exported, kept, tmp_path):
    other = Disk(tmp_path / "other")
    other.store("b", BUILD, b"its own")
    entry(other, "a", OTHER).parent.mkdir()
    entry(other, "a", OTHER).write_bytes(b"damaged")
    size = len(entries.pack("a", b"a" * 1000))
    assert other.import_(exported) == archive.Moved(2, 2 * size, present=1)
    assert other.load("a", BUILD) == other.load("a", OTHER) == b"a" * 1000
    assert other.load("b", BUILD) == b"its own"
    assert other.import_(exported) == archive.Moved(0, 0, present=3)


def test_the_same_entries_make_the_same_archive_and_damaged_ones_are_left_out(exported, kept, tmp_path):
    before = exported.read_bytes()
    entry(kept, "c").write_bytes(b"damaged")
    entry(kept, "d").write_bytes(entries.pack("another", b""))
    kept.export(exported)
    assert exported.read_bytes() == before
    assert names(tmp_path) == sorted(["archive", *names(kept.info().folder)])


def test_an_archive_that_cannot_be_written_leaves_the_old_one(exported, kept, tmp_path, monkeypatch):
    before = exported.read_bytes()
    kept.store("c", BUILD, PAYLOAD)
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail_with(errno.ENOSPC))
        with pytest.raises(OSError, match="cannot write") as caught:
            kept.export(exported)
    assert caught.value.filename == str(exported)
    assert exported.read_bytes() == before
    assert not list(tmp_path.glob("*.tmp"))
    with pytest.raises(OSError, match="cannot write"):
        kept.export(tmp_path / "missing" / "archive")


GOOD = entries.file_name("z")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (f"../{GOOD}", entries.pack("z", b"")),
        (f"/{BUILD}/{GOOD}", entries.pack("z", b"")),
        (f"{BUILD}/../{GOOD}", entries.pack("z", b"")),
        (f"{BUILD}/sub/{GOOD}", entries.pack("z", b"")),
        (f"{BUILD}\\{GOOD}", entries.pack("z", b"")),
        (f"{BUILD}/{GOOD}.lock", entries.pack("z", b"")),
        (f"{BUILD}/", b""),
        ("notes", b""),
        (f"{BUILD}/{GOOD}", entries.pack("y", b"")),
        (f"{BUILD}/{GOOD}", entries.pack("z", b"payload")[:-1]),
        (f"{BUILD}/{GOOD}", b"garbled" + entries.pack("z", b"")[7:]),
        (f"{BUILD}/{GOOD}", b""),
    ],
)
def test_nothing_of_an_archive_with_a_bad_member_is_imported(exported, tmp_path, name, content):
    with zipfile.ZipFile(exported, "a") as file:
        file.writestr(zipfile.ZipInfo(name), content)
    other = Disk(tmp_path / "other" / "cache")
    with pytest.raises(ValueError, match=r"damaged|must be an archive") as caught:
        other.import_(exported)
    assert str(exported) in str(caught.value)
    assert not (tmp_path / "other").exists()


def test_no_damage_of_an_archive_goes_unnoticed(exported, tmp_path):
    whole = exported.read_bytes()
    other = Disk(tmp_path / "other")
    right = {("a", BUILD): b"a" * 1000, ("b", BUILD): b"b" * 1000, ("a", OTHER): b"a" * 1000}
    for place in range(0, len(whole), 3):
        for damaged in (whole[:place], whole[:place] + bytes([whole[place] ^ 8]) + whole[place + 1 :]):
            exported.write_bytes(damaged)
            with suppress(ValueError):  # some bytes say nothing, as those of times
                other.import_(exported)
            for (key, build), payload in right.items():
                assert other.load(key, build) in (None, payload)
        other.clear()


# Where it is, and the command line


@pytest.fixture
def environment(monkeypatch):
    for name in (disk.FOLDER, disk.MEGABYTES, "NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/me")
    disk.default_disk.cache_clear()
    yield monkeypatch
    disk.default_disk.cache_clear()


@pytest.mark.skipif(sys.platform == "win32", reason="paths of POSIX")
def test_the_default_folder(environment):
    found = lambda: str(disk.default_folder())
    environment.setattr(sys, "platform", "linux")
    assert found() == "/home/me/.cache/recurrent_dynamics"
    environment.setenv("XDG_CACHE_HOME", "relative")
    assert found() == "/home/me/.cache/recurrent_dynamics"
    environment.setenv("XDG_CACHE_HOME", "/xdg")
    assert found() == "/xdg/recurrent_dynamics"
    environment.setattr(sys, "platform", "darwin")
    assert found() == "/home/me/Library/Caches/recurrent_dynamics"
    environment.setattr(sys, "platform", "win32")
    assert found() == "/home/me/AppData/Local/recurrent_dynamics"
    environment.setenv("LOCALAPPDATA", "/local")
    assert found() == "/local/recurrent_dynamics"
    environment.setenv("NUMBA_CACHE_DIR", "/numba")
    assert found() == "/numba/recurrent_dynamics"
    environment.setenv("RECURRENT_DYNAMICS_CACHE_DIR", "~/code")
    assert found() == "/home/me/code"


def test_without_a_home_nothing_is_kept(environment):
    environment.setattr(sys, "platform", "linux")
    environment.setattr(os.path, "expanduser", lambda path: path)
    assert disk.default_folder() is None
    with pytest.warns(RuntimeWarning, match="no home folder; set RECURRENT_DYNAMICS_CACHE_DIR"):
        kept = disk.default_disk()
    assert disk.default_disk() is kept
    assert kept.load_or_claim(KEY, BUILD) is None


@pytest.mark.parametrize("given", ["-1", "much", "", "nan", "inf"])
def test_a_limit_that_is_none_is_refused(given, environment):
    environment.setenv("RECURRENT_DYNAMICS_CACHE_MB", given)
    with pytest.raises(ValueError, match=f"RECURRENT_DYNAMICS_CACHE_MB must be .* came '{given}'"):
        disk.default_disk()


def test_the_limit_is_read_from_the_environment(environment, folder):
    assert disk.default_limit() == 256_000_000
    environment.setenv("RECURRENT_DYNAMICS_CACHE_MB", "1.5")
    environment.setenv("RECURRENT_DYNAMICS_CACHE_DIR", str(folder))
    assert disk.default_disk().limit == 1_500_000
    assert disk.default_disk().info().folder == folder


def test_import_is_cheap():
    heavy = ["numpy", "numba", "hashlib", "zipfile", "tempfile", "pathlib", "dataclasses", "inspect"]
    program = f"""
import sys
before = set(sys.modules)  # of which `site` may load any
import recurrent_dynamics.kernels.disk
print([m for m in {heavy} if m in sys.modules and m not in before])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.fixture
def command(environment, folder, capsys):
    environment.setenv("RECURRENT_DYNAMICS_CACHE_DIR", str(folder))

    def run(*arguments):
        status = main(["cache", *map(str, arguments)])
        return status, *capsys.readouterr()

    return run


def test_the_command_shows_moves_and_clears(command, kept, folder, tmp_path, environment):
    assert command("info") == (0, f"folder   {folder} (writable)\nsize     0.0 MB of 256.0 MB at most\n"
                                  "entries  0\nbuilds   0\n", "")  # fmt: skip
    kept.store("a", BUILD, bytes(2_000_000))
    kept.store("b", OTHER, bytes(1_000_000))
    status, output, _ = command("info")
    assert status == 0
    assert "size     3.0 MB of 256.0 MB at most\nentries  2\nbuilds   2\n" in output
    assert f"  {BUILD}  1 entry, 2.0 MB, last used 2" in output
    file = tmp_path / "archive"
    status, output, trust = command("export", file)
    assert (status, output) == (0, f"wrote 2 entries, 3.0 MB, to {file}\n")
    assert "machine code" in trust
    assert "a source you trust" in trust
    status, output, _ = command("clear")
    assert (status, output) == (0, f"removed 2 entries, 3.0 MB, from {folder}\n")
    kept.store("a", BUILD, bytes(2_000_000))
    status, output, trust = command("import", file)
    assert (status, output) == (
        0,
        f"added 1 entry, 1.0 MB, to {folder}\n1 entry of the file were there already\n",
    )
    assert "a source you trust" in trust
    assert kept.load("b", OTHER) == bytes(1_000_000)
    environment.setenv("RECURRENT_DYNAMICS_CACHE_MB", "0")
    assert "entries  2" in command("info")[1]


def test_the_command_says_an_error_in_a_line(command, tmp_path, environment):
    damaged, missing = tmp_path / "damaged", tmp_path / "missing"
    damaged.write_text("no archive")
    with zipfile.ZipFile(tmp_path / "strange", "w") as file:
        file.writestr(f"{BUILD}/{GOOD}", "no entry")
    for arguments, wanted in [
        (("import", missing), f"{missing}: {os.strerror(errno.ENOENT)}"),
        (("import", damaged), f"{damaged} must be an archive of compiled code"),
        (("import", tmp_path / "strange"), "damaged, or no entry of this name and layout"),
        (("export", missing / "file"), f"{missing / 'file'}: cannot write"),
        ((), "arguments are required: {info,clear,export,import}"),
        (("export",), "arguments are required: FILE"),
    ]:
        status, output, error = command(*arguments)
        assert (status, output) == (2, "")
        last = error.splitlines()[-1]
        assert last.startswith("recurrent-dynamics: ")
        assert wanted in last
    environment.setenv("RECURRENT_DYNAMICS_CACHE_MB", "many")
    assert "RECURRENT_DYNAMICS_CACHE_MB must be a number" in command("info")[2]


def test_the_command_knows_a_cache_without_a_folder(command, environment):
    environment.delenv("RECURRENT_DYNAMICS_CACHE_DIR")
    environment.setattr(os.path, "expanduser", lambda path: path)
    environment.setattr(sys, "platform", "linux")
    assert command("info") == (0, "folder   none; compiled code is not kept\n", "")
    assert "set RECURRENT_DYNAMICS_CACHE_DIR to a folder" in command("export", "file")[2]
    assert command("clear")[0] == 0
