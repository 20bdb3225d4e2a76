"""Prefixes, colours and folds the lines of many workers for one terminal. Pure: it is given the time."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field

WINDOW_S = 5.0
LINES_MAX = 10_000  # remembered to find repetitions; the oldest are given up first
_CYAN = 36
_COLOURS = (36, 35, 33, 32, 34, 95, 96, 92)

Printed = list[tuple[bool, str]]  # is stderr, line


@dataclass
class FoldOptions:
    """What the environment says, by Ray's names."""

    fold: bool = True  # RAY_DEDUP_LOGS
    window_s: float = WINDOW_S  # RAY_DEDUP_LOGS_AGG_WINDOW_S
    never_fold: re.Pattern[str] | None = None  # RAY_DEDUP_LOGS_ALLOW_REGEX
    never_print: re.Pattern[str] | None = None  # RAY_DEDUP_LOGS_SKIP_REGEX
    colour: bool = False  # it goes to a terminal, and NO_COLOR is not set
    colour_by_process: bool = False  # RAY_COLOR_PREFIX

    @classmethod
    def of(cls, environment: Mapping[str, str], terminal: bool) -> FoldOptions:
        """ValueError, naming the variable, for what cannot be understood."""

        def pattern(name: str) -> re.Pattern[str] | None:
            text = environment.get(name)
            try:
                return re.compile(text) if text else None
            except re.error as error:
                raise ValueError(f"{name}={text!r} is no regular expression: {error}") from None

        window = environment.get("RAY_DEDUP_LOGS_AGG_WINDOW_S", WINDOW_S)
        try:
            window_s = float(window)
        except ValueError:
            raise ValueError(
                f"RAY_DEDUP_LOGS_AGG_WINDOW_S={window!r} is no number of seconds"
            ) from None
        return cls(
            fold=environment.get("RAY_DEDUP_LOGS", "1") != "0",
            window_s=window_s,
            never_fold=pattern("RAY_DEDUP_LOGS_ALLOW_REGEX"),
            never_print=pattern("RAY_DEDUP_LOGS_SKIP_REGEX"),
            colour=terminal and not environment.get("NO_COLOR"),
            colour_by_process=environment.get("RAY_COLOR_PREFIX", "0") != "0",
        )


@dataclass
class _Seen:
    since: float
    pids: set[int] = field(default_factory=set)
    repeats: int = 0  # not printed
    last: tuple[int, str] = (0, "")  # pid and name of the last of them


class LogFolder:
    """A line that another worker has printed within the window is counted instead of printed; the count comes
    when the window has passed. Lines are the same if all their characters are. A worker's own repetitions
    are printed until another worker prints the line too."""

    def __init__(self, options: FoldOptions) -> None:
        self._options = options
        self._seen: OrderedDict[tuple[bool, str], _Seen] = OrderedDict()
        self._explained = False

    def _prefix(self, pid: int, name: str) -> str:
        text = f"({name} pid={pid})" if name else f"(pid={pid})"
        if not self._options.colour:
            return text
        colour = _COLOURS[pid % len(_COLOURS)] if self._options.colour_by_process else _CYAN
        return f"\x1b[{colour}m{text}\x1b[0m"

    def feed(self, now: float, pid: int, error: bool, name: str, text: str) -> Printed:
        """What to print for whole lines of process `pid`; 0 is the node itself, which has no prefix."""
        out = self.flush(now)
        for line in text.removesuffix("\n").split("\n"):
            line = line.rstrip("\r")
            if pid == 0:
                out.append((error, line))
            elif not self._drops(line) and not self._folds(now, pid, error, name, line):
                out.append((error, f"{self._prefix(pid, name)} {line}"))
        while len(self._seen) > LINES_MAX:
            out += self._give_up(next(iter(self._seen)))
        return out

    def _drops(self, line: str) -> bool:
        pattern = self._options.never_print
        return pattern is not None and pattern.search(line) is not None

    def _folds(self, now: float, pid: int, error: bool, name: str, line: str) -> bool:
        never = self._options.never_fold
        if not self._options.fold or not line.strip() or (never and never.search(line)):
            return False
        seen = self._seen.get((error, line))
        if seen is None:
            self._seen[error, line] = _Seen(now, {pid})
            return False
        seen.pids.add(pid)
        if len(seen.pids) == 1:
            return False
        seen.repeats += 1
        seen.last = (pid, name)
        return True

    def flush(self, now: float, everything: bool = False) -> Printed:
        """What was counted and whose window has passed."""
        out: Printed = []
        while self._seen:
            key, seen = next(iter(self._seen.items()))
            if not everything and now - seen.since < self._options.window_s:
                break
            out += self._give_up(key)
        return out

    def _give_up(self, key: tuple[bool, str]) -> Printed:
        error, line = key
        seen = self._seen.pop(key)
        if seen.repeats == 0:
            return []
        text = f"{self._prefix(*seen.last)} {line}"
        if seen.repeats > 1:
            text += f" [repeated {seen.repeats}x across cluster]"
            if not self._explained:
                self._explained = True
                text += " (equal lines of several workers are folded; RAY_DEDUP_LOGS=0 shows all)"
        return [(error, text)]

    def next_flush(self, now: float) -> float | None:
        """Seconds until flush() will have something to do; None: not before feed()."""
        if not any(seen.repeats for seen in self._seen.values()):
            return None
        oldest = next(iter(self._seen.values()))
        return max(0.0, oldest.since + self._options.window_s - now)
