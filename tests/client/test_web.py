"""Tests of konnect.client.web and konnect.client.endpoint: HTTP through a scripted proxy."""

from __future__ import annotations

import treq
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.testing import MemoryReactorClock
from twisted.web.client import URI, Agent
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface.verify import verifyObject

from konnect.client.endpoint import KonnectEndpoint
from konnect.client.errors import EndpointFailed
from konnect.client.web import WebEndpoints
from konnect.wire import packets
from tests.client.grpc_case import GrpcCase
from tests.client.scripted import CONNECT_ID


class WebTests(GrpcCase):
    """Twisted's Agent, and treq on it, through a tunnel."""

    def setUp(self) -> None:
        super().setUp()
        self.endpoints = WebEndpoints(self.dialer)
        self.agent = Agent.usingEndpointFactory(MemoryReactorClock(), self.endpoints)

    def test_interfaces(self) -> None:
        """Both classes provide what Twisted asks of them."""
        verifyObject(IAgentEndpointFactory, self.endpoints)
        verifyObject(IStreamClientEndpoint, KonnectEndpoint(self.dialer, "web", 80))

    def test_request(self) -> None:
        """A request goes to the destination that its URL names; its answer comes back."""
        answered = treq.get("http://web.example:8080/page", agent=self.agent)
        self.endpoint.flush()
        self.assertEqual(self.proxy.request().address, "web.example:8080")
        self.proxy.accept()
        self.endpoint.flush()
        self.assertTrue(self.proxy.received().startswith(b"GET /page HTTP/1.1\r\n"))
        self.proxy.send(
            packets.data(CONNECT_ID, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel"),
            packets.data(CONNECT_ID, b"lo"),
        )
        self.endpoint.flush()
        body = self.successResultOf(answered).content()
        self.endpoint.flush()
        self.assertEqual(self.successResultOf(body), b"hello")
        self.proxy.send(packets.close_rsp(CONNECT_ID))
        self.endpoint.flush()

    def test_answer_without_a_length(self) -> None:
        """A body that ends with the connection is whole when the tunnel is closed."""
        answered = treq.get("http://web.example/", agent=self.agent)
        self.endpoint.flush()
        self.proxy.accept()
        self.endpoint.flush()
        self.proxy.send(
            packets.data(CONNECT_ID, b"HTTP/1.0 200 OK\r\n\r\nall of it"),
            packets.close_rsp(CONNECT_ID),
        )
        self.endpoint.flush()
        response = self.successResultOf(answered)
        body = response.content()
        self.clock.advance(0)
        self.assertEqual(self.successResultOf(body), b"all of it")

    def test_failed_dial(self) -> None:
        """A dial's failure is the request's."""
        answered = treq.get("http://web.example/", agent=self.agent)
        self.endpoint.flush()
        self.proxy.send(packets.dial_rsp(self.proxy.request().random, error="no route to host"))
        self.endpoint.flush()
        self.failureResultOf(answered, EndpointFailed)

    def test_https_is_encrypted_to_the_destination(self) -> None:
        """An https request opens the tunnel and then speaks TLS in it."""
        answered = self.agent.request(b"GET", b"https://web.example/")
        answered.addErrback(lambda _: None)
        self.endpoint.flush()
        self.assertEqual(self.proxy.request().address, "web.example:443")
        self.proxy.accept()
        self.endpoint.flush()
        hello = self.proxy.received()
        self.assertEqual(hello[:2], b"\x16\x03")
        self.assertIn(b"web.example", hello)
        self.finish()

    def test_ipv6(self) -> None:
        """A URL with an IPv6 address is dialed with its brackets."""
        endpoint = self.endpoints.endpointForURI(URI.fromBytes(b"http://[::1]:81/"))
        assert isinstance(endpoint, KonnectEndpoint)
        self.assertEqual(endpoint.destination.text, "[::1]:81")

    def test_other_schemes(self) -> None:
        """Other schemes are refused."""
        uri = URI.fromBytes(b"ftp://web.example/", defaultPort=21)
        self.assertRaises(ValueError, self.endpoints.endpointForURI, uri)
