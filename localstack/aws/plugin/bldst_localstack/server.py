"""GATEWAY_SERVER=loopback: the stock server ignores the host of GATEWAY_LISTEN
and listens on every interface."""

from functools import partial

from localstack.runtime.server.core import RuntimeServerPlugin

from . import LOOPBACK


class LoopbackServerPlugin(RuntimeServerPlugin):
    name = "loopback"

    def load(self, *args, **kwargs):
        from localstack.runtime.server import twisted

        class LoopbackServer(twisted.TwistedRuntimeServer):
            def register(self, *args, **kwargs):
                everywhere = twisted.endpoints.TCP4ServerEndpoint
                twisted.endpoints.TCP4ServerEndpoint = partial(everywhere, interface=LOOPBACK)
                try:
                    super().register(*args, **kwargs)
                finally:
                    twisted.endpoints.TCP4ServerEndpoint = everywhere

        return LoopbackServer()
