"""A Trainable to try schedulers and searchers with, by the names that Ray's examples and tests import."""

from __future__ import annotations

import json
import math
import os
import time
from typing import Any

from ..registry import register_trainable
from ..trainable import Trainable

MOCK_TRAINABLE_NAME = "mock_trainable"
MOCK_ERROR_KEY = "mock_error"


class MyTrainableClass(Trainable):
    """Reports `episode_reward_mean`, which rises towards config["height"] in about config["width"] steps.

    config["sleep"]: seconds that a step takes. config["mock_error"]: each step but the first raises a RuntimeError
    until the trial is restored, with config["persistent_error"] after that, too."""

    def setup(self, config: dict[str, Any]) -> None:
        self.timestep = 0
        self.restored = False

    def step(self) -> dict[str, Any]:
        fails = self.config.get(MOCK_ERROR_KEY) and self.timestep > 0
        if fails and (self.config.get("persistent_error") or not self.restored):
            raise RuntimeError(f"meant to fail after {self.timestep} steps")
        time.sleep(self.config.get("sleep", 0))
        self.timestep += 1
        rise = math.tanh(self.timestep / self.config.get("width", 1))
        return {"episode_reward_mean": self.config.get("height", 1) * rise}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        with open(os.path.join(checkpoint_dir, "checkpoint"), "w") as file:
            json.dump({"timestep": self.timestep}, file)

    def load_checkpoint(self, checkpoint_dir: str) -> None:
        with open(os.path.join(checkpoint_dir, "checkpoint")) as file:
            self.timestep = json.load(file)["timestep"]
        self.restored = True


def register_mock_trainable() -> None:
    """Lets it be named by MOCK_TRAINABLE_NAME."""
    register_trainable(MOCK_TRAINABLE_NAME, MyTrainableClass)
