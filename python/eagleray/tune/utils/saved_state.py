"""What searchers and schedulers have in common: a state that is kept whole, in the journal or a file."""

from __future__ import annotations

import pickle
from typing import Any

from eagleray import cloudpickle

from ..._files import write_whole


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
        write_whole(checkpoint_path, cloudpickle.dumps(self.get_state()), 0o666)

    def restore(self, checkpoint_path: str) -> None:
        """Takes the state from a file that save() wrote."""
        with open(checkpoint_path, "rb") as file:
            self.set_state(pickle.load(file))
