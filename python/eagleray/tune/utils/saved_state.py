"""What searchers and schedulers have in common: a state that is kept whole, in the journal or a file."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

from eagleray import cloudpickle


class SavedState:
    """Its attributes are its state, unless a subclass says otherwise."""

    def get_state(self) -> dict[str, Any]:
        """All that has to be kept to go on, picklable."""
        return dict(self.__dict__)

    def set_state(self, state: dict[str, Any]) -> None:
        """Takes back what get_state() gave."""
        self.__dict__.update(state)

    def save(self, checkpoint_path: str) -> None:
        """Writes the state to a file, aside and renamed."""
        aside = f"{checkpoint_path}.{os.getpid()}.tmp"
        Path(aside).write_bytes(cloudpickle.dumps(self.get_state()))
        os.replace(aside, checkpoint_path)

    def restore(self, checkpoint_path: str) -> None:
        """Takes the state from a file that save() wrote."""
        with open(checkpoint_path, "rb") as file:
            self.set_state(pickle.load(file))
