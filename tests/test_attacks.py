"""Clients that are broken or mean it: their connection ends, and nobody else notices. See
docs/design/security.md; what needs no process is tested in src/*/*_test.cc."""

import contextlib
import ctypes
import mmap
import os
import re
import select
import signal
import struct
import threading

import pytest
from _attacker import PAGE, Attacker, memory, text, u64
from _support import PATIENCE_S, PEER, alive, ray, status_of, wait_for
from eagleray import _node

pytestmark = pytest.mark.skipif(PEER, reason="speaks our node's protocol")

NODE_INDEX = 1 << 32


@ray.remote
def double(x):
    return 2 * x


@ray.remote
class Victim:
    def add(self, x):
        return x + 1


@pytest.fixture(scope="module")
def node():
    ray.init(num_cpus=2)
    yield ray._state.state.node
    ray.shutdown()


@pytest.fixture
def attacker(node):
    """Every test ends with a cluster that works."""
    with Attacker(node.socket_path) as client:
        yield client
    assert alive(node.process.pid)
    assert ray.get(double.remote(4), timeout=60) == 8


def descendants(pid):
    found = [pid]
    for each in found:
        with (
            contextlib.suppress(OSError),  # it has just ended
            open(f"/proc/{each}/task/{each}/children") as children,
        ):
            found += map(int, children.read().split())
    return found


def open_files(pid):
    """What the descriptors of a process lead to; none if it has just ended."""
    with contextlib.suppress(OSError):
        for name in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):  # it was open a moment ago
                yield os.readlink(f"/proc/{pid}/fd/{name}")


def test_nothing_listens_on_the_network(node, attacker):
    listening = set()
    for table in ("tcp", "tcp6", "udp", "udp6"):
        with open(f"/proc/net/{table}") as rows:
            listening |= {row.split()[9] for row in rows.readlines()[1:]}
    for pid in [os.getpid(), *descendants(node.process.pid)]:
        for target in open_files(pid):
            assert target.removeprefix("socket:[").rstrip("]") not in listening, (pid, target)
    assert os.stat(os.path.dirname(node.socket_path)).st_mode & 0o777 == 0o700
    assert os.stat(node.socket_path).st_mode & 0o777 == 0o600


def test_frames_that_make_no_sense_end_the_connection(node, attacker):
    for junk in (
        b"GET / HTTP/1.1\r\n\r\n",
        struct.pack("<II", 2**31, 0),
        struct.pack("<II", 2**32 - 1, 2**32 - 1),
        struct.pack("<II", 4, 0) + b"\xff" * 4,
        struct.pack("<II", 0, 0),
        os.urandom(4096),
    ):
        with Attacker(node.socket_path) as each:
            each.send_raw(junk)
            each.socket.shutdown(1)
            assert each.is_cut_off()
    # Cut short, byte by byte: waits for the rest, and costs nothing but its connection.
    attacker.send_raw(struct.pack("<II", 100, 0) + b"x")


def test_an_old_version_is_refused_with_words(attacker):
    fds = [os.eventfd(0), os.eventfd(0), memory()]
    attacker.send("Register", attacker.hello(version=1), fds)
    assert b"version" in attacker.receive("Refused")
    assert attacker.is_cut_off()


@pytest.mark.parametrize(
    "descriptors",
    [
        lambda: [],
        lambda: [os.eventfd(0), os.eventfd(0)],
        lambda: [os.eventfd(0), os.eventfd(0), memory(), memory()],
        lambda: [os.eventfd(0), os.pipe()[1], memory()],  # ringing it could block
        lambda: [os.eventfd(0), os.eventfd(0), memory(seals=0)],  # could be cut off: SIGBUS
        lambda: [os.eventfd(0), os.eventfd(0), memory(size=100)],
        lambda: [os.eventfd(0), os.eventfd(0), os.open("/proc/self/exe", os.O_RDONLY)],
    ],
)
def test_descriptors_are_what_they_should_be(attacker, descriptors):
    with pytest.raises((EOFError, ConnectionError)):
        attacker.register(descriptors())


def test_descriptors_without_a_frame_are_not_gathered(node, attacker):
    attacker.register()
    fd = os.memfd_create("to-be-gathered")
    attacker.send_raw(struct.pack("<II", 2, 0) + b"\x04\x00", [fd] * 5)
    assert attacker.is_cut_off()
    os.close(fd)

    def gathered():
        return any("to-be-gathered" in target for target in open_files(node.pid))

    wait_for(lambda: not gathered())


def test_an_estate_is_sealed_memory(attacker):
    attacker.register()
    attacker.send("EstateFile", fds=[os.open("/proc/self/exe", os.O_RDONLY)])
    assert attacker.is_cut_off()


def test_one_registers_once(attacker):
    attacker.register()
    attacker.send("Register", attacker.hello(), [os.eventfd(0), os.eventfd(0), memory()])
    assert attacker.is_cut_off()


def test_other_jobs_cannot_be_reached(node, attacker):
    victim = Victim.remote()
    held = ray.put(b"x" * 4_000_000)
    assert ray.get(victim.add.remote(1)) == 2
    own = struct.unpack_from("<Q", attacker.register())[0]
    attacker.send("ConnectPeer", u64(NODE_INDEX + 1))  # the driver
    assert b"does not know" in attacker.receive("PeerLost")
    for number in range(2, own - NODE_INDEX):  # and its workers
        attacker.send("ConnectPeer", u64(NODE_INDEX + number))
        lost = attacker.receive("PeerLost")
        assert b"does not know" in lost or b"has ended" in lost
        attacker.send("BrokenPeer", u64(NODE_INDEX + number) + text(b"because"))
        attacker.send("ReturnLease", u64(number) + b"\x01")
        attacker.send("ReleaseSegment", u64(number))
        attacker.send("OpenSegment", u64(number) + u64(number))
        assert attacker.receive("SegmentOpened")[16] == 0
    actor = victim._actor_id.binary()
    attacker.ask("KillActor", actor + b"\x01")
    assert b"does not know" in attacker.answer("Done")
    attacker.ask("SubscribeActor", actor)
    assert b"does not know" in attacker.answer("ActorUpdate")
    attacker.ask("ActorOutOfScope", actor)
    assert ray.get(victim.add.remote(2)) == 3
    assert ray.get(held) == b"x" * 4_000_000


def test_what_is_named_is_found_by_other_jobs(node, attacker):
    victim = Victim.options(name="public", namespace="square", lifetime="detached").remote()
    assert ray.get(victim.add.remote(1)) == 2
    attacker.register()
    attacker.ask("FindActor", text(b"public") + text(b"square"))
    found = attacker.answer("FoundActor")
    assert found[0] == 1
    attacker.ask("KillActor", found[1:17] + b"\x01")
    attacker.answer("Done")
    with pytest.raises(ray.exceptions.RayActorError):
        wait_for(lambda: ray.get(victim.add.remote(1)) != 2)


def test_a_segment_is_written_by_its_writer_only(attacker):
    attacker.register()
    attacker.send("RequestSegment", u64(1) + u64(2 << 20))
    segment = attacker.receive("SegmentGranted")[8:16]
    attacker.send("OpenSegment", u64(2) + segment)
    assert attacker.receive("SegmentOpened")[16] == 1
    granted, opened = attacker.fds[-2:]
    mmap.mmap(granted, PAGE).close()
    mmap.mmap(opened, PAGE, prot=mmap.PROT_READ).close()
    with pytest.raises(OSError):
        mmap.mmap(opened, PAGE)
    for fd in (granted, opened):
        with pytest.raises(OSError):
            os.ftruncate(fd, 0)


def test_many_small_segments_are_refused(attacker):
    attacker.register()
    attacker.send("RequestSegment", u64(1) + u64(1))
    assert attacker.is_cut_off()


def test_who_does_not_read_is_cut_off(node, attacker):
    from eagleray.experimental.internal_kv import _internal_kv_del, _internal_kv_put

    _internal_kv_put("large", b"x" * (30 << 20))
    attacker.register()
    for _ in range(12):
        attacker.ask("KvGet", text(b"") + text(b"large"))
    # Not one answer was read; the sockets' buffers are small, 256 MiB the limit.
    log = os.path.join(ray._state.state.node.session_dir, "logs", "node.log")
    wait_for(lambda: "does not read" in open(log).read(), timeout=60)
    assert attacker.is_cut_off()
    _internal_kv_del("large")


def test_descriptors_that_are_not_read_are_limited(attacker):
    attacker.register()
    attacker.send("RequestSegment", u64(1) + u64(2 << 20))
    segment = attacker.receive("SegmentGranted")[8:16]
    with pytest.raises((ConnectionError, TimeoutError)):
        for number in range(20_000):
            attacker.send("OpenSegment", u64(number) + segment)
    assert attacker.is_cut_off()


def test_an_answer_without_end_is_an_error(attacker):
    from eagleray.experimental.internal_kv import (
        _internal_kv_del,
        _internal_kv_list,
        _internal_kv_put,
    )

    for number in range(1200):
        _internal_kv_put(f"{number:05}".encode() * 12_000, b"")
    attacker.register()
    attacker.ask("KvList", text(b"") + text(b""))
    assert b"go in one" in attacker.answer("Done")
    with pytest.raises(ValueError, match="go in one"):
        _internal_kv_list("")
    for number in range(12):
        _internal_kv_del(f"{number:03}", del_by_prefix=True)


def control_pid(node):
    for pid in descendants(node.process.pid):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/comm") as comm:
            if comm.read().startswith("eagleray-contro"):
                return pid
    raise AssertionError("no control")


def test_who_asks_faster_than_control_takes_waits(node, attacker):
    attacker.register()
    control = control_pid(node)
    os.kill(control, signal.SIGSTOP)
    try:
        attacker.socket.settimeout(1)
        with pytest.raises(TimeoutError):
            for _ in range(60):
                attacker.ask("KvPut", text(b"") + text(b"key") + text(b"x" * (16 << 20)) + b"\x01")
        assert ray.get(double.remote(2), timeout=60) == 4  # nobody else waits
        peak = status_of(node.pid, "VmHWM")
    finally:
        os.kill(control, signal.SIGCONT)
    assert peak < 700 << 10
    attacker.socket.settimeout(PATIENCE_S)
    attacker.answer("Done")
    assert control_pid(node) == control


def test_a_driver_that_creates_faster_than_control_takes_waits(node):
    blob = os.urandom(4 << 20)

    @ray.remote(num_cpus=2)
    class Large:
        def size(self):
            return len(blob)

    actors = []
    control = control_pid(node)
    creating = threading.Thread(
        target=lambda: actors.extend(Large.remote() for _ in range(90)), daemon=True
    )
    os.kill(control, signal.SIGSTOP)
    try:
        creating.start()
        creating.join(timeout=1)  # 360 MB: not all of it
        assert creating.is_alive() and status_of(os.getpid(), "VmHWM") < 1 << 20
    finally:
        os.kill(control, signal.SIGCONT)
    creating.join(timeout=60)
    assert ray.get(actors[0].size.remote(), timeout=60) == 4 << 20
    assert len(actors) == 90
    del actors[:]
    wait_for(lambda: ray.available_resources().get("CPU") == 2)


def is_deaf_to_somebody(pid):
    """Whether it watches a descriptor, yet not for what there is to read (EPOLLIN)."""
    for fd in os.listdir(f"/proc/{pid}/fdinfo"):
        with open(f"/proc/{pid}/fdinfo/{fd}") as info:
            watched = re.findall(r"tfd:\s*\d+ events:\s*(\w+)", info.read())
        if any(int(events, 16) & select.EPOLLIN == 0 for events in watched):
            return True
    return False


@ray.remote(max_retries=0)
def ask_for_a_lot(pid_file):
    from eagleray._state import client

    put = ("", b"key", bytes(16 << 20), True)
    askers = [threading.Thread(target=client().kv_put, args=put) for _ in range(8)]
    for asker in askers:
        asker.start()
    with open(pid_file + ".new", "w") as file:
        file.write(str(os.getpid()))
    os.rename(pid_file + ".new", pid_file)
    for asker in askers:
        asker.join()


def test_a_worker_that_ends_while_it_is_not_read(node, attacker, tmp_path):
    """Between the end of its connection and the word that it has ended, control has room again."""
    pid_file = tmp_path / "pid"
    control, zygote = control_pid(node), None
    os.kill(control, signal.SIGSTOP)
    ended = ask_for_a_lot.remote(str(pid_file))
    try:
        wait_for(pid_file.exists)
        worker = int(pid_file.read_text())
        zygote = status_of(worker, "PPid")
        wait_for(lambda: is_deaf_to_somebody(node.pid))
        os.kill(zygote, signal.SIGSTOP)
        os.kill(worker, signal.SIGKILL)
        wait_for(lambda: not alive(worker))
        for _ in range(5):  # it takes a turn or two to read what the worker has sent
            with Attacker(node.socket_path) as other:
                other.send_raw(b"\xff" * 8)
                assert other.is_cut_off()
        os.kill(control, signal.SIGCONT)
        attacker.register()  # control answers again
    finally:
        for pid in (control, zygote):
            if pid:
                os.kill(pid, signal.SIGCONT)
    with pytest.raises(ray.exceptions.WorkerCrashedError):
        ray.get(ended, timeout=60)


def test_answers_that_many_ask_for_do_not_end_control(node, attacker):
    from eagleray.experimental.internal_kv import _internal_kv_del, _internal_kv_put

    _internal_kv_put("large", b"x" * (30 << 20))
    control = control_pid(node)
    with Attacker(node.socket_path) as second, Attacker(node.socket_path) as third:
        askers = [attacker, second, third] * 4
        for each in askers[:3]:
            each.register()
        os.kill(control, signal.SIGSTOP)  # all come at once: 360 MB
        for each in askers:
            each.ask("KvGet", text(b"") + text(b"large"))
        os.kill(control, signal.SIGCONT)
        for each in askers:
            assert each.answer("KvValue")[0] == 1
    assert control_pid(node) == control
    _internal_kv_del("large")


def test_a_key_has_a_length(attacker):
    attacker.register()
    attacker.ask("KvPut", text(b"") + text(b"k" * 100_000) + text(b"") + b"\x01")
    assert b"the key has more" in attacker.answer("Done")


def test_an_actor_too_long_to_be_sent_is_an_error(node):
    blob = b"x" * (70 << 20)

    class Large:
        data = blob

        def size(self):
            return len(self.data)

    actor = ray.remote(Large).remote()
    with pytest.raises(ray.exceptions.RayActorError, match="put\\(\\) what is large"):
        ray.get(actor.size.remote(), timeout=60)
    assert ray.get(double.remote(1)) == 2


@pytest.mark.parametrize(
    "junk",
    [
        b"",
        b"\0",
        b"\xff\xfe",
        b"[]",
        b"null",
        b"{",
        b"[" * 100_000,
        b'{"socket": 3, "pid": 1}',
        b'{"socket": "/", "pid": "1"}',
        b'{"socket": "/", "pid": 1}',  # a process, and no node
        b'{"socket": "a\\u0000b", "pid": 1}',
        b'{"socket": "/", "pid": -1}',
        b'{"socket": "/", "pid": 1e400}',
    ],
)
def test_a_state_file_that_makes_no_sense_names_no_cluster(tmp_path, junk):
    session = tmp_path / "session_2026-01-01_00-00-00_1"
    session.mkdir()
    (session / "address.json").write_bytes(junk)
    assert _node.find_running(str(tmp_path)) is None


def test_a_state_file_is_a_file_of_ones_own(tmp_path):
    session = tmp_path / "session_2026-01-01_00-00-00_1"
    session.mkdir()
    os.mkfifo(session / "address.json")  # opening it could wait for ever
    assert _node.find_running(str(tmp_path)) is None
    os.unlink(session / "address.json")
    os.symlink("/etc/passwd", session / "address.json")
    assert _node.find_running(str(tmp_path)) is None


def test_a_directory_that_others_write_is_refused(tmp_path):
    os.chmod(tmp_path, 0o777)
    with pytest.raises(PermissionError, match="others may write"):
        _node.make_session_dir(str(tmp_path))


def test_users_of_a_machine_are_not_in_each_other_s_way(tmp_path, monkeypatch):
    monkeypatch.delenv("EAGLERAY_TMPDIR", raising=False)
    monkeypatch.setattr(_node, "TEMP_ROOT", str(tmp_path / "eagleray"))
    mine = _node.make_session_dir(None)
    assert os.path.dirname(mine) == str(tmp_path / "eagleray")
    me = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    assert _node.temp_root(None) == str(tmp_path / f"eagleray-{me + 1}")
    with pytest.raises(PermissionError, match="belongs to another user"):
        _node.make_session_dir(str(tmp_path / "eagleray"))
    os.mkdir(tmp_path / f"eagleray-{me + 1}")
    os.rename(tmp_path / "eagleray", tmp_path / "gone")
    assert _node.temp_root(None) == str(tmp_path / f"eagleray-{me + 1}")


@ray.remote(num_returns="streaming", max_retries=0)
def scribble():
    """Ruins the ring in which this worker writes to its driver, whatever it writes there."""
    with open("/proc/self/maps") as maps:
        link = next(line for line in maps if "eagleray-link" in line)
    ring = int(link.split("-")[0], 16) + PAGE + (512 << 10)  # the second of the two

    def ruin():
        while True:
            ctypes.memset(ring, 0xEE, 8)

    threading.Thread(target=ruin, daemon=True).start()
    yield from range(1_000_000_000)


def test_a_ring_in_ruins_costs_its_worker_only(node):
    with pytest.raises(ray.exceptions.WorkerCrashedError, match="nonsense"):
        for ref in scribble.remote():
            ray.get(ref, timeout=60)
    # The lease has come back: both CPUs can be had.
    wait_for(lambda: ray.available_resources().get("CPU") == 2)
    assert ray.get([double.remote(i) for i in range(100)]) == [2 * i for i in range(100)]
