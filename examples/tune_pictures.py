"""The pictures of docs/user/tune.md: `python examples/tune_pictures.py docs/user/pictures`.

Both are what `eagleray tune plot NAME -m METRIC` draws of a real run: 16 trials of ASHA, of which few go to the end, and 6
of population based training, which take over from each other. The trials compute a made-up learning curve.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import eagleray as ray
import numpy
from eagleray import tune
from eagleray.tune.schedulers import ASHAScheduler, PopulationBasedTraining


def curve(config):
    """A loss that falls to where `lr` lets it."""
    draw = numpy.random.default_rng(int(config["lr"] * 1e6))
    floor = (numpy.log10(config["lr"]) + 2) ** 2 / 4
    for step in range(1, 28):
        tune.report(loss=floor + 2 / step + 0.02 * draw.normal())


class Climber(tune.Trainable):
    """Climbs by its `pace`, less the higher it is and the further the pace is from what its height wants."""

    def setup(self, config):
        self.height = 0.0

    def step(self):
        wanted = 1 - self.height / 20
        self.height += max(0.0, 1 - abs(self.config["pace"] - wanted)) / 2
        return {"height": self.height}

    def save_checkpoint(self, checkpoint_dir):
        return {"height": self.height}

    def load_checkpoint(self, checkpoint):
        self.height = checkpoint["height"]


def run(storage: str) -> None:
    """The two experiments."""
    tune.run(
        curve,
        name="tune-asha",
        storage_path=storage,
        config={"lr": tune.loguniform(1e-4, 1)},
        metric="loss",
        mode="min",
        num_samples=16,
        search_alg=tune.search.BasicVariantGenerator(random_state=3),
        scheduler=ASHAScheduler(max_t=27, reduction_factor=3),
        verbose=0,
    )
    tune.run(
        Climber,
        name="tune-pbt",
        storage_path=storage,
        config={"pace": tune.uniform(0, 1)},
        metric="height",
        mode="max",
        num_samples=6,
        stop={"training_iteration": 40},
        search_alg=tune.search.BasicVariantGenerator(random_state=3),
        scheduler=PopulationBasedTraining(
            time_attr="training_iteration",
            perturbation_interval=4,
            hyperparam_mutations={"pace": tune.uniform(0, 1)},
        ),
        verbose=0,
    )


def main(directory: str) -> None:
    """Runs them and draws them as PNG in this directory."""
    with tempfile.TemporaryDirectory() as storage:
        ray.init(num_cpus=6)
        run(storage)
        ray.shutdown()
        for name, metric in (("tune-asha", "loss"), ("tune-pbt", "height")):
            picture = str(Path(directory) / f"{name}.png")
            command = ["tune", "plot", f"{storage}/{name}", "-m", metric, "-o", picture]
            subprocess.run(
                [sys.executable, "-m", "eagleray", *command],
                check=True,
            )


if __name__ == "__main__":
    main(sys.argv[1])
