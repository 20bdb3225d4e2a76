"""What people see while trials run: the status block with the table of trials, and results as they come.

Follows `ray.tune.progress_reporter`; the text is Ray's. A terminal gets a block that is redrawn in place, anything else
a new block every few seconds.
"""

from __future__ import annotations

import importlib
import os
import sys
import time
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from .._planned import lazily
from .experiment.trial import Trial
from .result import AUTO_FIELDS
from .utils.flatten import flatten, lookup
from .utils.table import cell, html_table, text_table

_LABELS = {
    "mean_accuracy": "acc",
    "mean_loss": "loss",
    "training_iteration": "iter",
    "time_total_s": "total time (s)",
    "timesteps_total": "ts",
    "episode_reward_mean": "reward",
}
_EXTRA_METRICS_MAX = 3
_ORDER = (Trial.RUNNING, Trial.TERMINATED, Trial.PAUSED, Trial.PENDING, Trial.ERROR)


class ProgressReporter:
    """Subclasses define should_report and report."""

    def setup(
        self,
        start_time: float | None = None,
        total_samples: int | None = None,
        metric: str | None = None,
        mode: str | None = None,
        **info: Any,
    ) -> None:
        """Once, before the first trial."""

    def should_report(self, trials: list[Any], done: bool = False) -> bool:
        """Whether it is time for a report."""
        raise NotImplementedError

    def report(self, trials: list[Any], done: bool, *sys_info: str) -> None:
        """Shows the trials. sys_info: lines about scheduler and resources."""
        raise NotImplementedError


class TuneReporterBase(ProgressReporter):
    """What reporters have in common.

    metric_columns, parameter_columns: names, or a dict of names and their headers; None: what trials have.
    max_progress_rows, max_error_rows: rows of the tables. max_report_frequency: seconds between reports.
    print_intermediate_tables: False: the table at the end only. sort_by_metric: best trials first.
    """

    def __init__(
        self,
        *,
        metric_columns: Any = None,
        parameter_columns: Any = None,
        total_samples: int | None = None,
        max_progress_rows: int = 20,
        max_error_rows: int = 20,
        max_column_length: int = 20,
        max_report_frequency: float = 5,
        infer_limit: int = _EXTRA_METRICS_MAX,
        print_intermediate_tables: bool | None = None,
        metric: str | None = None,
        mode: str | None = None,
        sort_by_metric: bool = False,
    ) -> None:
        self._metrics = _names(metric_columns)
        self._parameters = _names(parameter_columns)
        self.total_samples = total_samples
        self._rows_max, self._errors_max, self._width = (
            max_progress_rows,
            max_error_rows,
            max_column_length,
        )
        self.seconds = max_report_frequency
        self._infer_limit = infer_limit
        self._between = print_intermediate_tables is not False
        self.metric, self.mode, self._sort = metric, mode, sort_by_metric
        self._began = time.time()
        self._next = 0.0

    def setup(
        self,
        start_time: float | None = None,
        total_samples: int | None = None,
        metric: str | None = None,
        mode: str | None = None,
        **info: Any,
    ) -> None:
        self._began = start_time or time.time()
        self.total_samples = self.total_samples or total_samples
        self.metric, self.mode = self.metric or metric, self.mode or mode

    def should_report(self, trials: list[Any], done: bool = False) -> bool:
        if not done and time.monotonic() < self._next:
            return False
        self._next = time.monotonic() + self.seconds
        return done or self._between

    def add_metric_column(self, metric: str, representation: str | None = None) -> None:
        """Shows one more metric, under its name or `representation`. ValueError: it is shown already."""
        self._metrics = self._metrics or {}
        if metric in self._metrics:
            raise ValueError(f"{metric} is a column already")
        self._metrics[metric] = representation or metric

    def add_parameter_column(self, parameter: str, representation: str | None = None) -> None:
        """Shows one more setting. ValueError: it is shown already."""
        self._parameters = self._parameters or {}
        if parameter in self._parameters:
            raise ValueError(f"{parameter} is a column already")
        self._parameters[parameter] = representation or parameter

    # The parts of a report, as data and as text.

    def lines(self, trials: list[Trial], sys_info: Iterable[str]) -> list[str]:
        """Everything above the table."""
        now = datetime.now().strftime("%Y-%m-%d %H:%M:%S")
        lines = [
            "== Status ==",
            f"Current time: {now} (running for {_duration(time.time() - self._began)})",
            *memory_line(),
            *(line for text in sys_info for line in text.splitlines() if line),
        ]
        best = self._best(trials)
        if best is not None:
            chosen = best.evaluated_params
            lines.append(
                f"Current best trial: {best.trial_id} with {self.metric}="
                f"{lookup(best.last_result, self.metric or '')} and parameters={chosen}"
            )
        counts = _counts(trials)
        total = f"/{self.total_samples}" if self.total_samples else ""
        described = _describe(counts)
        lines.append(
            f"Number of trials: {len(trials)}{total}" + (f" ({described})" if described else "")
        )
        return lines

    def _best(self, trials: list[Trial]) -> Trial | None:
        if not self.metric or not self.mode:
            return None
        measured = [
            (value, trial)
            for trial in trials
            if (value := lookup(trial.last_result, self.metric)) is not None and value == value
        ]
        if not measured:
            return None
        pick = max if self.mode == "max" else min
        return pick(measured, key=lambda item: item[0])[1]

    def table(self, trials: list[Trial], done: bool) -> tuple[list[str], list[list[str]], str]:
        """Header and rows of the table of trials, and a line about those it leaves out."""
        limit = max(self._rows_max, len(trials)) if done and len(trials) <= 100 else self._rows_max
        shown = self._pick(trials, limit)
        parameters = self._parameters or {name: name for name in _parameters_of(trials[:200])}
        metrics = self._metrics or self._inferred(trials[:200])
        header = ["Trial name", "status", "loc", *parameters.values(), *metrics.values()]
        rows = []
        for trial in shown:
            row = [trial.trial_name, trial.status, trial.where]
            row += [cell(lookup(trial.config, name), self._width) for name in parameters]
            row += [cell(lookup(trial.last_result, name), self._width) for name in metrics]
            rows.append(row)
        used = [i for i in range(len(header)) if i < 3 or any(row[i] for row in rows)]
        left_out = len(trials) - len(shown)
        more = f"... {left_out} more trials not shown ({_describe(_counts(t for t in trials if t not in shown))})"
        return (
            [header[i] for i in used],
            [[row[i] for i in used] for row in rows],
            more if left_out else "",
        )

    def _pick(self, trials: list[Trial], limit: int) -> list[Trial]:
        ordered = (
            sorted(trials, key=lambda trial: _ORDER.index(trial.status))
            if len(trials) <= 1000
            else trials
        )
        if self._sort and self.metric:
            sign = -1 if self.mode == "max" else 1
            ordered = sorted(
                ordered,
                key=lambda t: (
                    sign * (lookup(t.last_result, self.metric or "") or float("inf") * sign)
                ),
            )
        if len(ordered) <= limit:
            return ordered
        shown: list[Trial] = []
        groups = {status: [t for t in ordered if t.status == status] for status in _ORDER}
        share = max(1, limit // max(1, sum(bool(group) for group in groups.values())))
        for group in groups.values():
            shown += group[:share]
        return shown[:limit]

    def _inferred(self, trials: list[Trial]) -> dict[str, str]:
        columns = dict(_LABELS)
        extra: dict[str, str] = {}
        if self.metric and self.metric not in columns:
            extra[self.metric] = self.metric
        for trial in trials:
            for name, value in flatten(trial.last_result, leave_out=("config",)).items():
                if len(extra) >= self._infer_limit:
                    return {**columns, **extra}
                if (
                    name in AUTO_FIELDS
                    or name in columns
                    or name in extra
                    or isinstance(value, (bool, str))
                ):
                    continue
                if hasattr(value, "__float__") and not getattr(value, "shape", ()):
                    extra[name] = name
        return {**columns, **extra}

    def errors(self, trials: list[Trial]) -> tuple[list[str], list[list[str]], int]:
        """Header and rows of the table of failures, and how many there are."""
        failed = [trial for trial in trials if trial.num_failures]
        rows = [
            [
                trial.trial_name,
                str(trial.num_failures),
                str(trial.error_file or f"{trial.local_path}/error.txt"),
            ]
            for trial in failed[: self._errors_max]
        ]
        return ["Trial name", "# failures", "error file"], rows, len(failed)

    def text(self, trials: list[Trial], done: bool, sys_info: Iterable[str]) -> str:
        """The whole report."""
        parts = self.lines(trials, sys_info)
        if trials:
            header, rows, more = self.table(trials, done)
            parts.append(text_table(header, rows, set(range(3, len(header)))))
            parts += [more] if more else []
        header, rows, failed = self.errors(trials)
        if failed:
            parts += [f"Number of errored trials: {failed}", text_table(header, rows, {1})]
        return "\n".join(parts) + "\n"


class CLIReporter(TuneReporterBase):
    """Writes to standard output: in a terminal in place (with rich, where it is installed), else block after block."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._live: Any = None

    def setup(self, *args: Any, **options: Any) -> None:
        super().setup(*args, **options)
        if sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb":
            try:
                from rich.live import Live
            except ImportError:
                return
            self._live = Live(auto_refresh=False, transient=True, vertical_overflow="visible")
            self.seconds = min(self.seconds, 0.5)

    def report(self, trials: list[Any], done: bool, *sys_info: str) -> None:
        text = self.text(trials, done, sys_info)
        if self._live is None:
            print(text, flush=True)
            return
        from rich.text import Text

        if not done:
            self._live.start()
            self._live.update(Text(text), refresh=True)
            return
        self._live.stop()
        print(text, flush=True)

    def close(self) -> None:
        """Gives the terminal back, also after an exception."""
        if self._live is not None:
            self._live.stop()


class JupyterNotebookReporter(TuneReporterBase):
    """Writes HTML into the cell, in place. overwrite=False: below what was there."""

    def __init__(self, overwrite: bool = True, **options: Any) -> None:
        super().__init__(**options)
        self._overwrite = overwrite
        self._display: Any = None

    def report(self, trials: list[Any], done: bool, *sys_info: str) -> None:
        from html import escape

        shown: Any = importlib.import_module("IPython.display")

        parts = [escape(line) for line in self.lines(trials, sys_info)]
        html = "<br>".join(parts)
        if trials:
            header, rows, more = self.table(trials, done)
            html += html_table(header, rows) + escape(more)
        header, rows, failed = self.errors(trials)
        if failed:
            html += f"Number of errored trials: {failed}" + html_table(header, rows)
        if self._display is None or not self._overwrite:
            self._display = shown.display(shown.HTML(html), display_id=True)
        else:
            self._display.update(shown.HTML(html))


def default_reporter() -> TuneReporterBase:
    """HTML in a notebook, else text."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    in_notebook = shell is not None and "IPKernelApp" in getattr(shell, "config", {})
    return JupyterNotebookReporter() if in_notebook else CLIReporter()


def memory_line() -> list[str]:
    """`Memory usage on this node: 1.2/24.0 GiB`."""
    try:
        with open("/proc/meminfo") as file:
            fields = dict(line.split(":", 1) for line in file)
        total = int(fields["MemTotal"].split()[0]) / 2**20
        free = int(fields["MemAvailable"].split()[0]) / 2**20
    except (OSError, KeyError, ValueError):
        return []
    return [f"Memory usage on this node: {total - free:.1f}/{total:.1f} GiB"]


def _names(columns: Any) -> dict[str, str]:
    if columns is None:
        return {}
    return dict(columns) if isinstance(columns, dict) else {name: name for name in columns}


def _parameters_of(trials: list[Trial]) -> list[str]:
    names: dict[str, None] = {}
    for trial in trials:
        for path in trial.evaluated_params:
            names[path] = None
    return list(names)


def _counts(trials: Iterable[Trial]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for trial in trials:
        counts[trial.status] = counts.get(trial.status, 0) + 1
    return counts


def _describe(counts: dict[str, int]) -> str:
    return ", ".join(f"{counts[status]} {status}" for status in sorted(counts))


def _duration(seconds: float) -> str:
    hours, rest = divmod(seconds, 3600)
    minutes, left = divmod(rest, 60)
    return f"{int(hours):02d}:{int(minutes):02d}:{left:05.2f}"


__getattr__ = lazily(__name__)  # names that are planned
