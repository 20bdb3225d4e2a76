"""`eagleray tune`: looks at experiments, also while they run."""

from __future__ import annotations

import json
import sqlite3
import time
from pathlib import Path
from typing import Any

import click

from .analysis import ExperimentAnalysis
from .execution.journal import Journal
from .experiment.trial import Trial
from .result import default_results_dir
from .utils.flatten import lookup
from .utils.table import cell, text_table

_PLOT_TRIALS_MAX = 30


@click.group()
def cli() -> None:
    """Look at experiments of Tune, also while they run.

    \b
    eagleray tune ls                           experiments under ~/ray_results
    eagleray tune show NAME                    the trials of one
    eagleray tune best NAME -m loss --mode min its best trial and config
    eagleray tune plot NAME -m loss            curves of all trials as a PNG

    NAME is an experiment's directory, or its name under the results directory.
    """


def _find(name: str) -> Path:
    for path in (Path(name).expanduser(), Path(default_results_dir()) / name):
        if Journal.path_in(path).exists():
            return path
    raise click.ClickException(
        f"there is no experiment {name!r}, neither as a path nor in {default_results_dir()}. "
        "`eagleray tune ls` lists those there are"
    )


def _analysis(name: str, metric: str | None = None, mode: str | None = None) -> ExperimentAnalysis:
    try:
        return ExperimentAnalysis(_find(name), metric, mode)
    except (ValueError, FileNotFoundError) as error:
        raise click.ClickException(str(error)) from None
    except (ImportError, AttributeError) as error:
        raise click.ClickException(
            f"{name} names a class that cannot be imported here ({error}): run this where its program runs"
        ) from None


@cli.command()
@click.argument("directory", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def ls(directory: str | None, as_json: bool) -> None:
    """Experiments in DIRECTORY (the results directory), the newest last.

    \b
    Examples:
      eagleray tune ls
      eagleray tune ls ~/ray_results --json
    """
    root = Path(directory or default_results_dir()).expanduser()
    rows = []
    found = [path for path in root.glob("*") if Journal.path_in(path).exists()]
    for path in sorted(found, key=lambda path: path.stat().st_mtime):
        rows.append(_summary(path))
    if as_json:
        click.echo(json.dumps(rows))
        return
    if not rows:
        click.echo(f"There are no experiments in {root}.")
        return
    header = ["experiment", "trials", "ended", "failed", "changed"]
    click.echo(text_table(header, [[str(row[name]) for name in header] for row in rows], {1, 2, 3}))


def _summary(path: Path) -> dict[str, Any]:
    try:
        statuses = [row.life.status for row in Journal.read(path).trials()]
    except (ValueError, FileNotFoundError, sqlite3.DatabaseError):
        statuses = []  # damaged: the others are shown
    changed = time.strftime("%Y-%m-%d %H:%M", time.localtime(Journal.path_in(path).stat().st_mtime))
    return {
        "experiment": path.name,
        "trials": len(statuses),
        "ended": statuses.count(Trial.TERMINATED),
        "failed": statuses.count(Trial.ERROR),
        "changed": changed,
    }


@cli.command()
@click.argument("name")
@click.option("-m", "--metric", multiple=True, help="Show this metric; may be given several times.")
@click.option("--sort", help="Sort by this metric.")
@click.option("--desc", is_flag=True, help="Largest first.")
@click.option(
    "--limit", type=int, default=50, show_default=True, help="Show at most so many trials."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with all of each last result.")
def show(
    name: str, metric: tuple[str, ...], sort: str | None, desc: bool, limit: int, as_json: bool
) -> None:
    """The trials of an experiment: their state, settings and last results.

    \b
    Example:
      eagleray tune show my_experiment -m loss --sort loss
    """
    analysis = _analysis(name)
    trials = analysis.trials
    if sort:
        with_value = [t for t in trials if lookup(t.last_result, sort) is not None]
        trials = sorted(with_value, key=lambda t: lookup(t.last_result, sort), reverse=desc)
    if as_json:
        rows = [
            {
                "name": t.trial_name,
                "status": t.status,
                "config": t.config,
                "last_result": t.last_result,
            }
            for t in trials[:limit]
        ]
        click.echo(json.dumps(rows, default=repr))
        return
    from .progress_reporter import TuneReporterBase

    reporter = TuneReporterBase(
        metric_columns=list(metric) or None, max_progress_rows=limit, metric=analysis.default_metric
    )
    shown = trials[:limit] if sort else trials
    header, rows_of_text, more = reporter.table(shown, False)
    if sort:
        place = {trial.trial_name: at for at, trial in enumerate(shown)}
        rows_of_text.sort(key=lambda row: place[row[0]])
        more = f"... {len(trials) - limit} more trials not shown" if len(trials) > limit else ""
    click.echo(text_table(header, rows_of_text, set(range(3, len(header)))))
    if more:
        click.echo(more)
    errors, failed, count = reporter.errors(trials)
    if count:
        click.echo(f"Number of errored trials: {count}\n{text_table(errors, failed, {1})}")


@cli.command()
@click.argument("name")
@click.option("-m", "--metric", help="What is optimised; by default what the experiment was told.")
@click.option("--mode", type=click.Choice(["min", "max"]))
@click.option(
    "--scope",
    default="last",
    show_default=True,
    type=click.Choice(["last", "avg", "last-5-avg", "last-10-avg", "all"]),
    help="Which of a trial's values count.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def best(name: str, metric: str | None, mode: str | None, scope: str, as_json: bool) -> None:
    """The best trial of an experiment: its config, its value, its directory.

    \b
    Example:
      eagleray tune best my_experiment --metric loss --mode min
    """
    analysis = _analysis(name, metric, mode)
    try:
        trial = analysis.get_best_trial(scope=scope)
    except ValueError:
        raise click.ClickException("say what is optimised: --metric NAME --mode min|max") from None
    if trial is None:
        raise click.ClickException(f"no trial has reported {analysis.default_metric!r}")
    known = trial.metric_analysis[analysis.default_metric or ""]
    value = known[(analysis.default_mode or "max") if scope == "all" else scope]
    if as_json:
        row = {
            "trial": trial.trial_name,
            "value": value,
            "config": trial.config,
            "logdir": trial.local_path,
        }
        click.echo(json.dumps(row, default=repr))
        return
    click.echo(f"{trial.trial_name}: {analysis.default_metric} = {cell(value)}")
    for path, setting in trial.evaluated_params.items():
        click.echo(f"  {path}: {setting}")
    click.echo(f"  in {trial.local_path}")


@cli.command()
@click.argument("name")
@click.option("-m", "--metric", help="The vertical axis; by default what the experiment was told.")
@click.option("-x", default="training_iteration", show_default=True, help="The horizontal axis.")
@click.option("-o", "--output", type=click.Path(), help="Where to write the PNG (NAME.png).")
def plot(name: str, metric: str | None, x: str, output: str | None) -> None:
    """Curves of the trials of an experiment as a PNG (needs matplotlib).

    \b
    Example:
      eagleray tune plot my_experiment -m loss -o curves.png
    """
    analysis = _analysis(name, metric)
    metric = metric or analysis.default_metric
    if metric is None:
        raise click.ClickException("say what to draw: --metric NAME")
    try:
        import matplotlib
    except ImportError:
        raise click.ClickException("plot needs matplotlib: pip install matplotlib") from None
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(9, 5))
    drawn = 0
    shown = analysis.trials[:_PLOT_TRIALS_MAX]
    if len(shown) > 10:  # more than there are colours in turn
        steps = [number / (len(shown) - 1) for number in range(len(shown))]
        axes.set_prop_cycle(color=[matplotlib.colormaps["turbo"](step) for step in steps])
    for trial in shown:
        points = [
            (lookup(row, x), lookup(row, metric))
            for row in analysis.results_of(trial)
            if lookup(row, x) is not None and lookup(row, metric) is not None
        ]
        if points:
            drawn += 1
            marker = "o" if len(points) == 1 else ""  # a line of one point is not seen
            axes.plot(
                *zip(*points, strict=True), marker=marker, label=trial.experiment_tag, lw=1.2, ms=4
            )
    if not drawn:
        raise click.ClickException(f"no trial has reported {x!r} and {metric!r}")
    axes.set_xlabel(x)
    axes.set_ylabel(metric)
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    path = output or f"{Path(name).name}.png"
    figure.savefig(path, dpi=120, bbox_inches="tight")
    click.echo(path)
