"""joblib's parallelism on this runtime: `with joblib.parallel_config(backend="ray")`."""

__all__ = ["register_ray"]


def register_ray() -> None:
    """Makes the backend "ray" known to joblib. ImportError without joblib."""
    from joblib.parallel import register_parallel_backend

    from .ray_backend import RayBackend

    register_parallel_backend("ray", RayBackend)
