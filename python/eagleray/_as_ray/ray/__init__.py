"""`import ray` as eagleray, in the processes that a program of `eagleray run` starts: this folder's parent is first
on their path. Workers, spawned children, other Python programs."""

import sys

import eagleray
from eagleray import _ray_alias

_ray_alias.install()
sys.modules["ray"] = eagleray
