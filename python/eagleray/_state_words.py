"""Ids and words of the state API's rows, as Ray has them."""

from __future__ import annotations

from typing import Any

from ._environments.text import masked

_NO_ACTOR = b"\xff" * 12


def readable_name(form: dict[str, Any], of_actor: bool) -> str:
    """As a user reads it: the name option, or the function without its module."""
    function: str = form.get("function", "")
    if form.get("name"):
        return str(form["name"])
    return function if of_actor else function.rsplit(".", 1)[-1]


def is_method(form: dict[str, Any]) -> bool:
    """Functions have their module before their name."""
    return "." not in form.get("function", "")


def env_text(env: str) -> str:
    """JSON of a runtime environment; before it stands how long it may take to be built."""
    return env[env.find("{") :] if "{" in env else "{}"


def job_hex(job: int) -> str:
    return job.to_bytes(4, "little").hex()


def task_hex(unique: int, actor_id: str | None, job: int) -> str:
    tail = actor_id or (_NO_ACTOR + job.to_bytes(4, "little")).hex()
    return unique.to_bytes(8, "little").hex() + tail


def parent_hex(parent: int, job: str) -> str:
    """Of a normal task; a driver's own task is all ones, as in Ray."""
    head = "f" * 16 if not parent else parent.to_bytes(8, "little").hex()
    return head + "f" * 24 + job


def actor_in(task_id: str) -> str | None:
    return None if task_id[16:40] == "f" * 24 else task_id[16:]


def exit_type(event: dict[str, Any]) -> str:
    if event.get("memory"):
        return "NODE_OUT_OF_MEMORY"
    reason = event.get("reason", "")
    asked = "exit" in reason or "cancelled" in reason
    if event["kind"] == "job_ended" or asked and event.get("intended"):
        return "INTENDED_USER_EXIT"
    if event.get("intended"):
        return "USER_ERROR" if "constructor failed" in reason else "INTENDED_SYSTEM_EXIT"
    return "SYSTEM_ERROR"


def reference_type(each: dict[str, Any]) -> str:
    if each["actor_handle"]:
        return "ACTOR_HANDLE"
    if each["used"]:
        return "USED_BY_PENDING_TASK"
    if each["local"]:
        return "LOCAL_REFERENCE"
    if each["executing"]:
        return "PINNED_IN_MEMORY"
    return "CAPTURED_IN_OBJECT" if each["captured"] or each["borrowers"] else "UNKNOWN_STATUS"


def severity(event: dict[str, Any]) -> str:
    if event["kind"] == "warning":
        return "WARNING"
    bad = event["kind"].endswith(("_ended", "_failed")) and not event.get("intended")
    return "ERROR" if bad and event["kind"] != "job_ended" else "INFO"


def sentence(event: dict[str, Any]) -> str:
    if event["kind"] == "warning":
        return str(event["reason"])
    what = event["kind"].replace("_", " ")
    if what.startswith("environment"):
        return masked(f"{what} {env_text(event['what'])}: {event.get('reason', '')}".strip(": "))
    if "pid" not in event:
        return f"{what} {event.get('what', '')}: {event.get('reason', '')}".strip(": ")
    whose = f" {event['what']}" if event.get("what") else ""
    reason = f": {event['reason']}" if event.get("reason") else ""
    return f"{what.split()[0]}{whose} (process {event.get('pid', '?')}) {what.split()[1]}{reason}"
