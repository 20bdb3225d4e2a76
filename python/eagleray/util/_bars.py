"""Progress bars of this process and of its workers, on the driver: rich's in a terminal, HTML in a notebook, and
a line now and then where standard error is redirected."""

from __future__ import annotations

import atexit
import html
import sys
import threading
import time
from typing import Any, NamedTuple

LINE_PERIOD_S = 10.0  # between two lines of a bar without a total, or of one that is slow


class Bar(NamedTuple):
    """A bar as it stands; `total` None: unknown."""

    key: str
    text: str
    done: float
    total: float | None
    unit: str
    closed: bool


class Lines:
    """A line at the beginning, a tenth later, or after a while; and at the end."""

    def __init__(self) -> None:
        self._said: dict[str, tuple[int, float]] = {}

    def show(self, bar: Bar) -> None:
        tenth = int(10 * bar.done / bar.total) if bar.total else 0
        now = time.monotonic()
        before = self._said.get(bar.key)
        if before is not None and not bar.closed:
            if tenth <= before[0] and now - before[1] < LINE_PERIOD_S:
                return
        if bar.closed:
            self._said.pop(bar.key, None)
        else:
            self._said[bar.key] = (tenth, now)
        text = bar.text + ": " if bar.text else ""
        of = f"/{bar.total:g}" if bar.total is not None else ""
        print(f"{text}{bar.done:g}{of} {bar.unit}", file=sys.stderr, flush=True)


class Rich:
    """Bars at the bottom of the terminal, while there are any; what is printed meanwhile stands above."""

    def __init__(self) -> None:
        self._progress: Any = None
        self._tasks: dict[str, Any] = {}

    def show(self, bar: Bar) -> None:
        if self._progress is None:
            self._begin()
        if bar.key not in self._tasks:
            self._tasks[bar.key] = self._progress.add_task(bar.text, total=bar.total, unit=bar.unit)
        self._progress.update(
            self._tasks[bar.key], description=bar.text, completed=bar.done, total=bar.total
        )
        if bar.closed:
            self._progress.stop_task(self._tasks.pop(bar.key))
            if not self._tasks:
                self.stop()

    def stop(self) -> None:
        """Gives the terminal back, cursor and all."""
        made, self._progress = self._progress, None
        self._tasks.clear()
        atexit.unregister(self.stop)
        if made is not None:
            made.stop()

    def _begin(self) -> None:
        from rich import progress
        from rich.console import Console

        self._progress = progress.Progress(
            progress.TextColumn("{task.description}", markup=False),
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TextColumn("{task.fields[unit]}", markup=False),
            progress.TimeElapsedColumn(),
            progress.TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._progress.start()
        atexit.register(self.stop)  # bars of workers that died, or that Ctrl-C has left


class Html:
    """Bars in the output of the notebook's cell that runs."""

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._shown: dict[str, Any] = {}

    def show(self, bar: Bar) -> None:
        from IPython.display import HTML, display

        made = HTML(_html_of(bar))
        if bar.key in self._shown:
            self._shown[bar.key].update(made)
        else:
            self._enter_cell()
            self._shown[bar.key] = display(made, display_id=True)
        if bar.closed:
            del self._shown[bar.key]

    def _enter_cell(self) -> None:
        """Bars of workers are shown by a thread that belongs to no cell."""
        publisher = getattr(self._shell, "display_pub", None)
        if threading.current_thread() is not threading.main_thread() and publisher is not None:
            publisher.set_parent(self._shell.kernel.get_parent("shell"))


def _html_of(bar: Bar) -> str:
    of = f' value="{bar.done:g}" max="{bar.total:g}"' if bar.total else ""
    total = f" / {bar.total:g}" if bar.total is not None else ""
    return (
        f"<div>{html.escape(bar.text)} <progress{of}></progress> "
        f"{bar.done:g}{total} {html.escape(bar.unit)}</div>"
    )


def _display() -> Any:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if getattr(shell, "kernel", None) is not None:
        return Html(shell)
    if sys.stderr is not None and sys.stderr.isatty():
        try:
            import rich  # noqa: F401
        except ImportError:
            return Lines()
        return Rich()
    return Lines()


_lock = threading.Lock()
_shown_by: Any = None
_open: set[str] = set()


def show(bar: Bar) -> None:
    """Shows a bar's new state. Never raises: the terminal may be gone."""
    global _shown_by
    with _lock:
        if bar.closed and bar.key not in _open and not bar.done:
            return
        if not _open:  # streams may have changed since the last
            _shown_by = _display()
        _open.discard(bar.key) if bar.closed else _open.add(bar.key)
        try:
            _shown_by.show(bar)
        except (OSError, ValueError, AttributeError):
            pass
