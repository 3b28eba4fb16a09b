"""The websocket proxy: UDP channels to the boards of a job, for clients that can't reach them themselves."""

from spalloc_server.fronts.http.proxy.relay import Proxy

__all__ = ["Proxy"]
