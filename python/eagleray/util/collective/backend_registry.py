"""Which backends there are. Others can be added."""

from __future__ import annotations

from . import types
from .collective_group.base_collective_group import BaseGroup

_classes: dict[str, type[BaseGroup]] = {}


def register_collective_backend(name: str, group_cls: type[BaseGroup]) -> None:
    """Makes `name` a backend, in this process. TypeError unless group_cls is a BaseGroup, ValueError for a
    name that is taken."""
    if not (isinstance(group_cls, type) and issubclass(group_cls, BaseGroup)):
        raise TypeError(f"{group_cls} is not a subclass of BaseGroup")
    upper = name.upper()
    if upper in _classes or upper == types.Backend.GLOO:
        raise ValueError(f"Backend {upper} already registered")
    _classes[upper] = group_cls
    if not hasattr(types.Backend, upper):
        setattr(types.Backend, upper, upper)


def class_of(name: str) -> type[BaseGroup]:
    """RuntimeError, by name, for a backend that cannot be used here."""
    upper: str = types.Backend(name)
    if upper == types.Backend.GLOO and upper not in _classes:
        from .collective_group.torch_gloo_collective_group import TorchGLOOGroup

        _classes[upper] = TorchGLOOGroup
    group_class = _classes.get(upper)
    if group_class is None:
        raise RuntimeError(
            f"Backend {upper} is not available: eagleray has collectives on CPU, backend='gloo'; NCCL needs GPUs "
            "and comes with them."
        )
    if not group_class.check_backend_availability():
        raise RuntimeError(
            f"Backend {upper} is not available. Please check the installation: gloo comes with PyTorch."
        )
    return group_class


def is_backend_available(backend: str) -> bool:
    """Whether groups of this backend can be made here."""
    try:
        class_of(backend)
    except (RuntimeError, ValueError, ImportError):
        return False
    return True
