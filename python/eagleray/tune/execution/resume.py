"""Going on with an experiment: whether there is one, and what becomes of each of its trials."""

from __future__ import annotations

import logging
import pickle
from pathlib import Path
from typing import Any

from ..checkpoint import Checkpoint
from ..config import ResumeConfig
from ..experiment.trial import Trial
from .controller import TuneController
from .experiment_state import load_trials
from .journal import Journal
from .trial_source import TrialSource

_logger = logging.getLogger("eagleray.tune")
RESUME, RESTART, SKIP = ResumeConfig.ResumeType
_FIRST = ("LOCAL", "AUTO", "PROMPT")
_REST = {
    "ERRORED": ResumeConfig(errored=RESUME),
    "RESTART_ERRORED": ResumeConfig(errored=RESTART),
    "ERRORED_ONLY": ResumeConfig(unfinished=SKIP, errored=RESUME),
    "RESTART_ERRORED_ONLY": ResumeConfig(unfinished=SKIP, errored=RESTART),
}


def read_wish(resume: Any, config: ResumeConfig | None) -> tuple[str, ResumeConfig] | None:
    """What tune.run(resume=, resume_config=) asks for: LOCAL (the experiment must be there), AUTO or PROMPT, and what
    becomes of the trials; None: a new experiment. ValueError: it is none of these."""
    if not resume:
        return ("AUTO", config) if config is not None else None
    name = "LOCAL" if resume is True else str(resume).upper()
    first, _, rest = name.partition("+")
    if first in _REST:
        first, rest = "LOCAL", name
    if first not in _FIRST or (rest and rest not in _REST):
        raise ValueError(
            f"resume must be a bool, {', '.join(_FIRST)}, or one of these with +{', +'.join(_REST)}, not {resume!r}"
        )
    return first, config or (_REST[rest] if rest else ResumeConfig())


def goes_on(resume: Any, config: ResumeConfig | None, path: Path) -> ResumeConfig | None:
    """What becomes of the trials of the experiment in this directory; None: there is none to go on with, or the
    program does not want that. ValueError: it wants one that is not there."""
    wish = read_wish(resume, config)
    if wish is None:
        return None
    name, chosen = wish
    there = Journal.path_in(path).exists()
    if name == "PROMPT":
        said = there and input(f"Resume the experiment in {path}? [y/N] ").strip().lower()
        return chosen if said in ("y", "yes") else None
    if not there and name != "AUTO":
        raise ValueError(
            f"there is no experiment to resume in {path} (resume='AUTO' starts a new one there)"
        )
    return chosen if there else None


def restore(
    how: ResumeConfig,
    journal: Journal,
    controller: TuneController,
    source: TrialSource,
    scheduler: Any,
    callbacks: Any,
) -> None:
    """Gives the controller the trials of the experiment, and the others their states."""
    trials = load_trials(journal, Path(source.experiment_path))
    changed: list[Trial] = []
    given_up: list[Checkpoint] = []
    for trial in trials:
        before = trial.status
        old = prepare(trial, how)
        given_up += old
        if old or trial.status != before:
            changed.append(trial)
    known = _set_states(journal, source, scheduler, callbacks)
    if trials:
        source.prefix = trials[0].trial_id.rsplit("_", 1)[0]
    source.catch_up(trials, known)
    if how.unfinished is SKIP:
        source.finished = True
    controller.adopt(trials, changed, given_up)
    ended = sum(trial.is_finished() for trial in trials)
    _logger.info(
        "the experiment goes on: %d trials have ended, %d go on", ended, len(trials) - ended
    )


def prepare(trial: Trial, how: ResumeConfig) -> list[Checkpoint]:
    """Makes of a trial what the config says; gives the checkpoints that it does not need any more. A trial that begins
    again keeps its id and its directory: what it has reported is taken back when it starts."""
    if trial.status == Trial.ERROR:
        kind = how.errored
    elif trial.status == Trial.TERMINATED:
        kind = how.finished
    else:
        kind = how.unfinished
    if kind is SKIP:
        if trial.status != Trial.ERROR:
            trial.status = Trial.TERMINATED
        return []
    if trial.is_finished():
        trial.error_message, trial.num_failures, trial.end_time = None, 0, None
    trial.status = Trial.PENDING
    if kind is RESUME:
        return []
    old = [one.checkpoint for one in trial.checkpoints.kept]
    trial.checkpoints.clear()
    trial.restore_from = None
    return old


def _set_states(journal: Journal, source: TrialSource, scheduler: Any, callbacks: Any) -> int:
    """How many trials the searcher knows of."""
    known = 0
    targets: tuple[tuple[str, Any], ...] = (
        ("source", source),
        ("scheduler", scheduler),
        ("callbacks", callbacks),
    )
    for key, target in targets:
        blob = journal.get(f"state:{key}")
        if blob is None:
            continue
        state = pickle.loads(blob)
        if key == "source":
            known = state["made"]
        target.set_state(state)
    return known
