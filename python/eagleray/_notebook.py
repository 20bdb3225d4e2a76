"""In IPython and notebooks: modules that `%autoreload` has read again are read again by workers, too. Looks at files
before each cell, and only while autoreload is loaded."""

from __future__ import annotations

import os
import site
import sys
import sysconfig
from typing import Any

from ._state import state

_AUTORELOAD = "IPython.extensions.autoreload"
CODE_VERSION = "EAGLERAY_CODE_VERSION"


class CodeWatch:
    """Of one shell, from the first init() on."""

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        paths = sysconfig.get_paths()
        own = os.path.dirname(os.path.abspath(__file__))
        fixed = [paths["stdlib"], paths["platstdlib"], paths["purelib"], paths["platlib"], own]
        self._fixed = tuple({*fixed, *site.getsitepackages()})
        self._seen: dict[str, int] = {}  # file of a module: when it was written, as far as is known
        self.look()
        shell.events.register("pre_run_cell", self._before_cell)
        shell.events.register("post_run_cell", self._after_cell)

    def look(self) -> bool:
        """Whether a module's file is another than it was at the last look."""
        changed = False
        for module in list(sys.modules.values()):
            path = getattr(module, "__file__", None)
            if not path or path.startswith(self._fixed):
                continue
            try:
                written = os.stat(path).st_mtime_ns
            except OSError:
                continue
            changed |= self._seen.setdefault(path, written) != written
            self._seen[path] = written
        return changed

    def _before_cell(self, *_: Any) -> None:
        """After autoreload has read what is new."""
        if _AUTORELOAD in sys.modules and self.look():
            state.new_code()

    def _after_cell(self, *_: Any) -> None:
        """Modules that the cell has imported are known; who registered after us comes before us."""
        if _AUTORELOAD in sys.modules:
            events = self._shell.events
            events.unregister("pre_run_cell", self._before_cell)
            events.register("pre_run_cell", self._before_cell)
            for module in list(sys.modules.values()):
                path = getattr(module, "__file__", None)
                if path and path not in self._seen and not path.startswith(self._fixed):
                    try:
                        self._seen[path] = os.stat(path).st_mtime_ns
                    except OSError:
                        continue


_watch: CodeWatch | None = None


def enter() -> None:
    """Begins to watch, if there is a shell."""
    global _watch
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is not None and _watch is None:
        _watch = CodeWatch(shell)
