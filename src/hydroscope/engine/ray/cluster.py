"""Attaching to a Ray cluster, or starting one on this machine that nobody else can reach."""

from __future__ import annotations

import ipaddress
import logging
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hydroscope.engine.ray.engine import RayEngine
from hydroscope.engine.ray.homecoming import first_line
from hydroscope.ground.errors import HydroscopeError, UserError
from hydroscope.node.ports import EngineError

__all__ = ["DOORMEN", "asks_for_token", "attach", "connect", "is_loopback"]

KNOCK_S = 5.0
"""Seconds for a cluster to answer the door."""

DOORMEN = 3
"""Times to ask for a process behind the client port: on a slow machine Ray's may not start within its 30 s, or end."""

_DOORMAN_FAILED = ("Starting Ray client server failed", "ZombieProcess")
"""What the client port says when that process did not start, and when it ended while the port looked at it."""

_HOST_AND_PORT = re.compile(r"(?:ray://)?([^\s/:]+):(\d+)")

_ASK_ANY_RAY = ("/ray.rpc.NodeInfoGcsService/CheckAlive", "/ray.rpc.RayletDriver/ClusterInfo")
"""Harmless calls: one of the cluster's own port, one of its client port."""

_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # else a FutureWarning about GPUs
}
_LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""How Ray is told to use 127.0.0.1, on Linux too: given as an address, it would be replaced by an outward one."""


def connect(
    address: str | None,
    n_threads: int | None,
    memory_bytes: int | None,
    n_threads_here: int = 1,
    unauthenticated: bool = False,
) -> RayEngine:
    """Attach to a Ray cluster, or start one on this machine.

    Parameters
    ----------
    address : str or None
        "ray://host:port", or None: the one this process is attached to already, else that
        of the environment variable RAY_ADDRESS, else a new one.
    n_threads, memory_bytes : int or None
        CPUs and size of the object store of a new one; None: `n_threads_here`, what Ray thinks fit.
    n_threads_here : int
        Threads of this process, for `parallel`.
    unauthenticated : bool
        Join a cluster on the network even if it lets in anybody.
    """
    with _environment(_QUIET):
        try:
            import ray
        except ImportError as error:
            raise UserError("the Ray engine needs the package ray: pip install 'hydroscope[ray]'") from error
        if ray.is_initialized() and address is None:
            _refuse_sizes("in use in this process", n_threads, memory_bytes)
            return RayEngine(ray, False, n_threads_here)
        address = address or os.environ.get("RAY_ADDRESS") or None
        try:
            if address is None:
                _start(ray, n_threads or n_threads_here, memory_bytes)
            else:
                _refuse_sizes(f"at {address!r}", n_threads, memory_bytes)
                attach(ray, address, unauthenticated)
        except HydroscopeError:
            raise
        except Exception as error:
            where = f"at {address!r}" if address else "on this machine"
            step = (
                "if it asks for a token, set RAY_AUTH_MODE=token and give it this user's ~/.ray/auth_token"
                if address
                else "use init('local')"
            )
            raise EngineError(f"no Ray could be reached {where}: {first_line(error)}; {step}") from error
    return RayEngine(ray, True, n_threads_here)


def _start(ray: Any, n_threads: int, memory_bytes: int | None) -> None:
    """Start a small, quiet cluster on this machine that only this machine can reach."""
    from ray._private import ray_constants

    enabled = ray_constants.ENABLE_RAY_CLUSTER  # Ray read the environment when it was imported
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        with _environment(_LOOPBACK):  # and its processes read it now
            ray.init(
                address="local",
                num_cpus=n_threads,
                object_store_memory=memory_bytes,
                include_dashboard=False,
                logging_level=logging.ERROR,
                log_to_driver=False,
            )
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = enabled


def attach(ray: Any, address: str, unauthenticated: bool = False) -> None:
    """Join a cluster that runs: as one of its processes, or through its client port."""
    _refuse_silence(address)
    if ray.is_initialized():
        raise UserError(f"this process is attached to a Ray already; call ray.shutdown() to go to {address!r}")
    if not unauthenticated:
        _refuse_open_door(address)
    if not address.startswith("ray://"):
        ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False)
        if not unauthenticated and _HOST_AND_PORT.fullmatch(address) is None:  # "auto": only now it is known where
            _leave_open_door(ray)
        return
    for attempt in range(DOORMEN):
        try:
            ray.init(address=address, logging_level=logging.ERROR)
        except ConnectionAbortedError as error:
            if attempt == DOORMEN - 1 or not any(sign in str(error) for sign in _DOORMAN_FAILED):
                raise
        else:
            return


def _refuse_sizes(where: str, n_threads: int | None, memory_bytes: int | None) -> None:
    for name, value in (("threads", n_threads), ("memory", memory_bytes)):
        if value is not None:
            raise UserError(f"{name}={value}: the Ray {where} has its own size; leave {name} out")


def _refuse_silence(address: str) -> None:
    """Knock at the address first: Ray itself tries for minutes before it gives up."""
    match = _HOST_AND_PORT.fullmatch(address)
    if match is None:  # "auto" and the like
        return
    try:
        socket.create_connection((match[1], int(match[2])), timeout=KNOCK_S).close()
    except OSError as error:
        raise EngineError(
            f"no Ray answers at {address!r}: {error}; start one with `ray start --head`, or use init('ray')"
        ) from error


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine by an address that no other machine can reach."""
    try:
        found = {str(each[4][0]).partition("%")[0] for each in socket.getaddrinfo(host, None)}
    except OSError:
        return False
    return bool(found) and all(ipaddress.ip_address(each).is_loopback for each in found)


def asks_for_token(host: str, port: int) -> bool:
    """Call a Ray without a token; tell whether it refuses. Cost: a connection."""
    try:
        import grpc
    except ImportError:  # then it cannot be known, and the cautious answer is no
        return False
    with grpc.insecure_channel(f"{host}:{port}", options=[("grpc.enable_http_proxy", 0)]) as channel:
        for method in _ASK_ANY_RAY:
            call = channel.unary_unary(method, request_serializer=bytes, response_deserializer=bytes)
            try:
                call(b"", timeout=KNOCK_S)
            except grpc.RpcError as error:
                if error.code() is grpc.StatusCode.UNAUTHENTICATED:
                    return True
            else:
                return False
    return False


def _refuse_open_door(address: str) -> None:
    """Refuse a Ray that can be reached over the network and lets in anybody: whoever is in runs what he likes."""
    match = _HOST_AND_PORT.fullmatch(address)
    if match is None or is_loopback(match[1]) or asks_for_token(match[1], int(match[2])):
        return
    raise UserError(
        f"the Ray at {address!r} can be reached over the network and asks nobody for a token, so anybody there can run "
        "code in it, and read what you load: start it with RAY_AUTH_MODE=token, or join it all the same with "
        "init(..., unauthenticated=True)"
    )


def _leave_open_door(ray: Any) -> None:
    try:
        _refuse_open_door(str(ray.get_runtime_context().gcs_address))
    except UserError:
        ray.shutdown()
        raise


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """Set what the user did not set, and put back what was."""
    added = [name for name in variables if name not in os.environ]
    os.environ.update({name: variables[name] for name in added})
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)
