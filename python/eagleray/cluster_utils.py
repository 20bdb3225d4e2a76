"""`Cluster`, by which tests start a cluster that they connect to: of one node, as there is one machine."""

from __future__ import annotations

import atexit
from typing import Any

from . import _api, _init_arguments, _node, _planned

__all__ = ["Cluster"]
STORE_BYTES = 150 << 20  # of a node's object store unless told otherwise, as in Ray
PORT = 6379  # of the address: nothing listens there


class Cluster:
    """A node that this program starts, and that other programs of this user can connect to at `address`.

    initialize_head: starts it at once, with head_node_args: num_cpus (1), num_gpus, resources, memory, labels,
    object_store_memory (150 MiB), _system_config. connect: init() is called, too. shutdown_at_exit: shutdown() is
    called when the program ends; the node ends with the program in any case, unlike Ray's. A second node
    raises NotImplementedError, and so do other arguments.
    """

    def __init__(
        self,
        initialize_head: bool = False,
        connect: bool = False,
        head_node_args: dict[str, Any] | None = None,
        shutdown_at_exit: bool = True,
    ) -> None:
        if connect and not initialize_head:
            raise RuntimeError("Cannot connect to uninitialized cluster.")
        self.head_node: _node.LocalNode | None = None
        self.worker_nodes: set[Any] = set()
        self.connected = False
        if shutdown_at_exit:
            atexit.register(self.shutdown)
        if initialize_head:
            self.add_node(**(head_node_args or {}))
        if connect:
            self.connect()

    @property
    def address(self) -> str | None:
        """What init() is given; None before there is a node."""
        return None if self.head_node is None else f"{self.head_node.address}:{PORT}"

    gcs_address = address

    def add_node(
        self,
        wait: bool = True,
        *,
        num_cpus: float = 1,
        num_gpus: float = 0,
        resources: dict[str, float] | None = None,
        memory: int | None = None,
        labels: dict[str, str] | None = None,
        object_store_memory: int = STORE_BYTES,
        _system_config: dict[str, Any] | None = None,
        **others: Any,
    ) -> _node.LocalNode:
        """Starts the node, which is there when this returns, with wait=False, too."""
        if self.head_node is not None:
            raise NotImplementedError(_planned.message_for("cluster_utils", "Cluster.add_node"))
        if others:
            raise NotImplementedError(f"Cluster.add_node({next(iter(others))}=)")
        given = {
            "num_cpus": num_cpus,
            "num_gpus": num_gpus,
            "resources": resources,
            "_memory": memory,
            "labels": labels,
            "object_store_memory": object_store_memory,
            "_system_config": _system_config,
        }
        _init_arguments.check_node(given)
        node: _node.LocalNode = _api.new_node(given, temp_dir=None, owned=True)
        self.head_node = node
        node.write_address(PORT)
        node.remove_old_sessions(wait=False)
        return node

    def connect(self, namespace: str | None = None) -> None:
        """init() with this cluster's address."""
        assert self.address is not None and not self.connected
        _api.init(self.address, namespace=namespace, ignore_reinit_error=True)
        self.connected = True

    def list_all_nodes(self) -> list[_node.LocalNode]:
        """The node, if it runs."""
        return [] if self.head_node is None else [self.head_node]

    def wait_for_nodes(self, timeout: float = 30) -> None:
        """Returns at once: add_node() has waited."""

    def remove_node(self, node: _node.LocalNode, allow_graceful: bool = True) -> None:
        """Ends the node, and with it everything that runs there."""
        if node is not self.head_node:
            raise ValueError("this cluster has no such node")
        self.head_node = None
        node.stop()
        node.remove_address()

    def shutdown(self) -> None:
        """Ends the node if there is one."""
        if self.head_node is not None:
            self.remove_node(self.head_node)


__getattr__ = _planned.lazily(__name__)
