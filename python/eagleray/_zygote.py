"""The zygote: one single-threaded process per node that has Python and the core loaded and forks
workers in about 2 ms. Started by eagleray-node with a packet socket as descriptor 3. A request is a
token with three descriptors (the worker's socket, its stdout, its stderr); it answers with the pid and
later with the exit status. It never starts a thread and never runs user code.
"""

from __future__ import annotations

import array
import errno
import gc
import os
import signal
import socket
import struct
import sys

_REPORT = struct.Struct("<QIiI4x")  # as Report in src/shell/zygote_process.cc


def _child(packet_socket: socket.socket, wake: tuple[int, int], fds: list[int], token: int) -> None:
    """Runs in the forked worker; never returns."""
    from eagleray import _core

    _core.set_parent_death_signal(signal.SIGKILL)
    os.setsid()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, _core.on_interrupt)
    packet_socket.close()
    os.close(wake[0])
    os.close(wake[1])
    os.dup2(fds[1], 1)
    os.dup2(fds[2], 2)
    os.close(fds[1])
    os.close(fds[2])
    status = 1
    try:
        from eagleray import _worker

        status = _worker.main(fds[0], token)
    except BaseException:  # the last line of defence: the traceback goes to the log
        import traceback

        traceback.print_exc()
    finally:
        from eagleray import _output

        _output.flush()
        os._exit(status)


def main() -> None:
    from eagleray import _core

    _core.set_parent_death_signal(signal.SIGTERM)
    _core.become_subreaper()
    # What a worker needs at once, so that each fork has it already; the rest follows when it is quiet.
    import cloudpickle  # noqa: F401

    import eagleray  # noqa: F401
    from eagleray import _worker  # noqa: F401
    from eagleray._environments import worker  # noqa: F401

    if len(sys.argv) > 1:  # in a container
        from eagleray._environments import container

        node = container.line_of(sys.argv[1])
    else:
        node = socket.socket(fileno=3)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    wake = os.pipe()
    for fd in wake:
        os.set_blocking(fd, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake[1], warn_on_full_buffer=False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def on_term(*_: object) -> None:
        _core.end_descendants(1.0)  # double-forked grandchildren too: they are adopted here
        os._exit(0)

    signal.signal(signal.SIGTERM, on_term)
    gc.collect()
    gc.freeze()
    node.send(_REPORT.pack(0, 0, 0, ord("H")))
    try:
        _serve(node, wake)
    except OSError:  # the node is gone, and a report to it has failed before the signal came
        pass
    on_term()


def _report_ends(node: socket.socket) -> None:
    """Reports the children that have ended, and reaps each only after that: if this process dies in
    between, the node adopts what is left of the child and learns of its end by reaping it."""
    while True:
        try:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if ended is None:
            return
        # As waitpid() codes it: a signal in the low bits, or a status above them.
        status = ended.si_status << 8 if ended.si_code == os.CLD_EXITED else ended.si_status
        node.send(_REPORT.pack(0, ended.si_pid, status, ord("X")))
        os.waitpid(ended.si_pid, 0)


def _serve(node: socket.socket, wake: tuple[int, int]) -> None:
    """Forks and reports until the node has ended."""
    import select

    poll = select.poll()
    poll.register(node, select.POLLIN)
    poll.register(wake[0], select.POLLIN)
    warm = False
    while True:
        ready = poll.poll(None if warm else 50)
        if not ready:
            import asyncio  # noqa: F401
            import inspect  # noqa: F401
            import traceback  # noqa: F401

            gc.collect()
            gc.freeze()
            warm = True
        for fd, _ in ready:
            if fd == wake[0]:
                try:
                    os.read(fd, 4096)
                except BlockingIOError:
                    pass
                _report_ends(node)
                continue
            space = socket.CMSG_SPACE(3 * array.array("i").itemsize)
            data, ancillary, _flags, _address = node.recvmsg(8, space)
            if not data:
                return
            fds = array.array("i")
            for _level, _kind, payload in ancillary:
                fds.frombytes(payload[: len(payload) - len(payload) % fds.itemsize])
            pid = -1
            (token,) = struct.unpack("<Q", data)
            try:
                if len(fds) < 3:  # the kernel dropped what it may not open
                    raise OSError(errno.EMFILE, "too many open files")
                pid = os.fork()
                report = _REPORT.pack(token, pid, 0, ord("S"))
            except OSError as error:
                report = _REPORT.pack(token, 0, error.errno or 0, ord("F"))
            if pid == 0:
                _child(node, wake, list(fds), token)
            for handed in fds:
                os.close(handed)
            node.send(report)


if __name__ == "__main__":
    main()
