"""At most so many trials of a searcher at a time. Follows `ray.tune.search.ConcurrencyLimiter`."""

from __future__ import annotations

from typing import Any

from .basic_variant import BasicVariantGenerator
from .searcher import Searcher


class ConcurrencyLimiter(Searcher):
    """Passes on what the searcher suggests while fewer than max_concurrent of its trials live.

    batch: the searcher is told of trials when max_concurrent of them have ended, all at once, and suggests the next
    ones then. ValueError: BasicVariantGenerator, which has max_concurrent itself.
    """

    def __init__(self, searcher: Searcher, max_concurrent: int, batch: bool = False) -> None:
        if isinstance(searcher, BasicVariantGenerator):
            raise ValueError(
                "give BasicVariantGenerator(max_concurrent=...) the limit, or tune.run(max_concurrent_trials=...)"
            )
        if not isinstance(searcher, Searcher):
            raise TypeError(f"ConcurrencyLimiter limits a Searcher, not {type(searcher).__name__}")
        if max_concurrent < 1:
            raise ValueError(f"max_concurrent must be positive, not {max_concurrent}")
        super().__init__(searcher.metric, searcher.mode)
        self.searcher, self.max_concurrent, self.batch = searcher, max_concurrent, batch
        self.live_trials: set[str] = set()
        self._ended: dict[str, tuple[dict[str, Any] | None, bool]] = {}  # of this batch

    @property
    def metric(self) -> Any:
        return self.searcher.metric

    @property
    def mode(self) -> Any:
        return self.searcher.mode

    @property
    def total_samples(self) -> int | None:
        return self.searcher.total_samples

    def set_search_properties(
        self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any
    ) -> bool:
        return self.searcher.set_search_properties(metric, mode, config, **spec)

    def set_max_concurrency(self, max_concurrent: int) -> bool:
        self.max_concurrent = max_concurrent
        return True

    def suggest(self, trial_id: str) -> Any:
        if len(self.live_trials) + len(self._ended) >= self.max_concurrent:
            return None
        config = self.searcher.suggest(trial_id)
        if config not in (None, Searcher.FINISHED):
            self.live_trials.add(trial_id)
        return config

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        self.searcher.on_trial_result(trial_id, result)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        if trial_id not in self.live_trials:
            return
        self.live_trials.discard(trial_id)
        if not self.batch:
            self.searcher.on_trial_complete(trial_id, result, error)
            return
        self._ended[trial_id] = (result, error)
        if not self.live_trials:
            for one, (its_result, failed) in self._ended.items():
                self.searcher.on_trial_complete(one, its_result, failed)
            self._ended.clear()

    def on_pause(self, trial_id: str) -> None:
        if hasattr(self.searcher, "on_pause"):
            self.searcher.on_pause(trial_id)

    def on_unpause(self, trial_id: str) -> None:
        if hasattr(self.searcher, "on_unpause"):
            self.searcher.on_unpause(trial_id)

    def add_evaluated_point(
        self, parameters: dict[str, Any], value: float, error: bool = False
    ) -> None:
        self.searcher.add_evaluated_point(parameters, value, error)

    def get_state(self) -> dict[str, Any]:
        return {
            "searcher": self.searcher.get_state(),
            "live": self.live_trials,
            "ended": self._ended,
        }

    def set_state(self, state: dict[str, Any]) -> None:
        self.searcher.set_state(state["searcher"])
        self.live_trials, self._ended = set(state["live"]), dict(state["ended"])
