"""The standard library's test cases of Pool, in a module that workers can import."""

import unittest

from test import _test_multiprocessing as stdlib


class Pool(stdlib._TestPool, unittest.TestCase):
    TYPE = "processes"


class PoolWorkerErrors(stdlib._TestPoolWorkerErrors, unittest.TestCase):
    TYPE = "processes"


class PoolWorkerLifetime(stdlib._TestPoolWorkerLifetime, unittest.TestCase):
    TYPE = "processes"


CASES = [Pool, PoolWorkerErrors, PoolWorkerLifetime]
