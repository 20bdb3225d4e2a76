"""Prints results as they come, as `verbose` asks."""

from __future__ import annotations

import sys
from typing import Any

from ..callback import Callback
from ..logger.printing import pretty_print


class ResultPrinter(Callback):
    """verbose 2: a line for each trial that starts and ends; 3: each result in full. stream: None is standard
    output, looked up each time."""

    reads_files = False

    def __init__(self, verbose: int, stream: Any = None) -> None:
        self._verbose, self._stream = verbose, stream

    def _print(self, text: str) -> None:
        print(text, file=self._stream or sys.stdout, flush=True)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        if self._verbose >= 3:
            self._print(f"Result for {trial}:\n" + _indented(pretty_print(result)))

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._print(f"Trial {trial} completed.")

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._print(
            f"Trial {trial} has failed: {trial.error_message}\n  (all of it in {trial.error_file})"
        )


def _indented(text: str) -> str:
    return "".join(f"  {line}\n" for line in text.splitlines())
