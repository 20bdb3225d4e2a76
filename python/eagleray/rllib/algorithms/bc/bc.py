"""BC: behaviour cloning, that is MARWIL with beta 0."""

from __future__ import annotations

from typing import Any

from ..marwil.marwil import MARWIL, MARWILConfig

__all__ = ["BC", "BCConfig"]


class BCConfig(MARWILConfig):
    """The settings of BC."""

    OWN = {"beta": 0.0, "postprocess_inputs": False}

    def __init__(self, algo_class: Any = None) -> None:
        super().__init__(algo_class=algo_class or BC)

    def validate(self) -> None:
        super().validate()
        if self["beta"] != 0.0:
            raise ValueError("BC is MARWIL with beta 0; use MARWIL for others")


class BC(MARWIL):
    """Maximises the likelihood of recorded actions."""

    _config_class = BCConfig
