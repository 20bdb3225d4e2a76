"""From the names of algorithms, as in tune.run("PPO"), to their classes."""

from __future__ import annotations

import importlib
from typing import Any

from ..utils.names import unknown

__all__ = ["ALGORITHMS", "LATER", "get_algorithm_class", "get_trainer_class"]

# name: (module below eagleray.rllib.algorithms, class)
ALGORITHMS = {
    "PPO": ("ppo", "PPO"),
    "A2C": ("a2c", "A2C"),
    "A3C": ("a3c", "A3C"),
    "PG": ("pg", "PG"),
    "BC": ("bc", "BC"),
    "MARWIL": ("marwil", "MARWIL"),
    "ES": ("es", "ES"),
    "ARS": ("ars", "ARS"),
}
# Known to Ray, now or once, and not here.
LATER = (
    "DQN SimpleQ APEX Rainbow SAC RNNSAC CQL IQL TQC IMPALA APPO DDPPO DreamerV3 Dreamer DDPG ApexDDPG TD3 R2D2 "
    "QMIX MADDPG MAML MBMPO SlateQ BanditLinUCB BanditLinTS AlphaZero AlphaStar LeelaChessZero CRR DT RandomAgent"
).split()


def get_algorithm_class(name: str, return_config: bool = False) -> Any:
    """The class of an algorithm; with return_config also its default settings as a dict.

    NotImplementedError for those of Ray's that are not here, with those that are; ValueError for no name at all.
    """
    plain = name.removeprefix("contrib/")
    if plain in ALGORITHMS:
        module, attribute = ALGORITHMS[plain]
        found = getattr(importlib.import_module(f".{module}", __package__), attribute)
        return (found, found.get_default_config().to_dict()) if return_config else found
    there = ", ".join(ALGORITHMS)
    if plain in LATER or plain.replace("-", "") in LATER:
        raise NotImplementedError(
            f"the algorithm {name!r} is not implemented in eagleray.rllib; these are: {there}"
        )
    raise ValueError(
        f"{unknown('algorithm', name, [*ALGORITHMS, *LATER])} Implemented are: {there}"
    )


get_trainer_class = get_agent_class = get_algorithm_class
