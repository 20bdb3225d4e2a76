"""local_mode=True: tasks and actors run in this process, at once, for debugging."""

from __future__ import annotations

from typing import Any


class LocalRef:
    """A value or an error that is already there."""

    def __init__(self, value: Any = None, error: BaseException | None = None) -> None:
        self.value = value
        self.error = error


class LocalMode:
    def put(self, value: Any) -> LocalRef:
        return LocalRef(value)

    def get(self, refs: Any) -> Any:
        if isinstance(refs, (list, tuple)):
            return [self.get(ref) for ref in refs]
        if not isinstance(refs, LocalRef):
            raise ValueError(f"get() expects references, got {type(refs)}")
        if refs.error is not None:
            raise refs.error
        return refs.value

    def _resolve(self, value: Any) -> Any:
        return self.get(value) if isinstance(value, LocalRef) else value

    def call(self, function: Any, args: Any, kwargs: Any, options: dict[str, Any]) -> Any:
        from . import _serialization

        count = options.get("num_returns")
        try:
            result = function(
                *[self._resolve(a) for a in args],
                **{k: self._resolve(v) for k, v in kwargs.items()},
            )
        except Exception as error:
            record = _serialization.task_error(getattr(function, "__name__", "f"), error)
            failed = LocalRef(error=_serialization.error_from(record, None))
            return [failed] * count if isinstance(count, int) and count > 1 else failed
        if isinstance(count, int) and count > 1:
            return [LocalRef(r) for r in result]
        return None if count == 0 else LocalRef(result)

    def create(self, cls: type, args: Any, kwargs: Any) -> Any:
        return _LocalHandle(self, cls(*[self._resolve(a) for a in args], **kwargs))


class _LocalHandle:
    def __init__(self, mode: LocalMode, instance: Any) -> None:
        self._mode = mode
        self._instance = instance

    def __getattr__(self, name: str) -> Any:
        bound = getattr(self._instance, name)
        return _LocalMethod(self._mode, bound)


class _LocalMethod:
    def __init__(self, mode: LocalMode, bound: Any) -> None:
        self._mode = mode
        self._bound = bound

    def remote(self, *args: Any, **kwargs: Any) -> Any:
        return self._mode.call(self._bound, args, kwargs, {})
