"""Ray's path of the timer that parallel iterators have."""

from .iter_metrics import Timer

_Timer = Timer
