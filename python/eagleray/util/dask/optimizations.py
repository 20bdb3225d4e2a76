"""Ray's rewriting of shuffles of Dask before 2025.1; later releases have no place for it."""

from __future__ import annotations

import warnings
from typing import Any


def dataframe_optimize(dsk: Any, keys: Any, **kwargs: Any) -> None:
    """Does nothing, with a warning, as in Ray with this Dask: Dask optimises by itself."""
    import dask

    warnings.warn(
        "Custom dataframe shuffle optimization only works on dask>=2024.11.0,<2025.1.0, you are on version "
        f"{dask.__version__}. Doing no additional optimization aside from the default one.",
        stacklevel=2,
    )
