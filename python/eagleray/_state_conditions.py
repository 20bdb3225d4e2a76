"""Filters of the state API's tasks, as conditions that the core looks for in a block of the history."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from . import _history
from ._history import Block, Condition
from ._state_words import is_method, job_hex, readable_name

if TYPE_CHECKING:
    from ._state_rows import Lookout


class Conditions:
    """Filters of tasks as the core's conditions on one block."""

    def __init__(self, look: Lookout, block: Block) -> None:
        self._look = look
        self._block = block

    def of(self, filters: list[tuple[str, str, Any]]) -> list[Condition] | None:
        """None: no row of the block holds."""
        conditions: list[Condition] = []
        for key, predicate, value in filters:
            made = getattr(self, f"_{key}", self._constant(key))(str(value).lower())
            differs = predicate == "!="
            if isinstance(made, bool):
                if made == differs:
                    return None
                continue
            column, values = made
            conditions.append((column, differs, sorted(values)))
        return conditions

    @staticmethod
    def _constant(key: str) -> Callable[[str], Any]:
        same: dict[str, Any] = {"language": "python", "is_debugger_paused": "false"}
        return lambda value: same.get(key, "none") == value

    def _state(self, value: str) -> Any:
        if value == "finished":
            return _history.ERROR, [_history.NO_ERROR]
        if value == "failed":
            return _history.ERROR, [code for code in _history.ERROR_NAMES if code]
        return False

    def _error_type(self, value: str) -> Any:
        codes = [c for c, name in _history.ERROR_NAMES.items() if str(name).lower() == value]
        return (_history.ERROR, codes) if codes else False

    def _job_id(self, value: str) -> bool:
        return job_hex(self._block.job) == value

    def _attempt_number(self, value: str) -> Any:
        return (_history.ATTEMPT, [int(value)]) if value.isdigit() else False

    def _type(self, value: str) -> Any:
        if value == "normal_task":
            return _history.ACTOR, [0]
        if value == "actor_task":
            return _history.ACTOR, list(self._block.names.actors)
        return False

    def _actor_id(self, value: str) -> Any:
        names = self._block.names.actors
        if value == "none":
            return _history.ACTOR, [0]
        return _history.ACTOR, [number for number, actor in names.items() if actor == value]

    def _task_id(self, value: str) -> Any:
        if len(value) != 48 or value[-8:] != job_hex(self._block.job):
            return False
        return _history.UNIQUE, [int.from_bytes(bytes.fromhex(value[:16]), "little")]

    def _parent_task_id(self, value: str) -> Any:
        if len(value) != 48 or value[-8:] != job_hex(self._block.job):
            return False
        parent = (
            0 if value[:40] == "f" * 40 else int.from_bytes(bytes.fromhex(value[:16]), "little")
        )
        return _history.PARENT, [parent]

    def _forms(self, shown: Callable[[dict[str, Any]], set[str]], value: str) -> Any:
        forms = self._block.names.forms
        return _history.FORM, [number for number, form in forms.items() if value in shown(form)]

    def _name(self, value: str) -> Any:
        return self._forms(self._shown, value)

    def _func_or_class_name(self, value: str) -> Any:
        return self._forms(lambda form: self._shown({**form, "name": ""}), value)

    def _shown(self, form: dict[str, Any]) -> set[str]:
        of_actor = is_method(form)
        name = readable_name(form, of_actor).lower()
        if not of_actor or form.get("name"):
            return {name}
        classes = {each.lower() for each in self._look.classes.values()}
        return {name} | {f"{each}.{name}" for each in classes}

    def _placement_group_id(self, value: str) -> Any:
        return self._forms(lambda form: {form.get("group") or "none"}, value)

    def _node_id(self, value: str) -> Any:
        workers = [p for p in self._look.pids if self._look.node_of(p) == value]
        return _history.WORKER, workers

    def _worker_id(self, value: str) -> Any:
        return _history.WORKER, [0 if value == "none" else self._look.proc_of(value)]

    def _worker_pid(self, value: str) -> Any:
        return _history.WORKER, [p for p, pid in self._look.pids.items() if str(pid) == value]
