"""Our listeners as ``openssl s_client`` sees them, on loopback sockets."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IHandshakeListener
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.utils import getProcessOutputAndValue
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from konnect.net.tls import explain
from tests.certificates import pki

OPENSSL = shutil.which("openssl")


@implementer(IHandshakeListener)
class Greeter(Protocol):
    """Says which protocol was chosen, and hangs up."""

    factory: Ends

    def handshakeCompleted(self) -> None:
        transport: Any = self.transport
        transport.write(b"chosen: " + (transport.negotiatedProtocol or b"nothing") + b"\n")
        transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.factory.ends.append(explain(reason))


class Ends(Factory):
    """Keeps how connections ended."""

    def __init__(self) -> None:
        self.ends: list[str] = []

    def buildProtocol(self, address: object) -> Any:
        greeter = Greeter()
        greeter.factory = self
        return greeter


class OpensslTests(TestCase):
    """Each test: one handshake of a foreign client."""

    if OPENSSL is None:
        skip = "no openssl command on this machine"

    async def listen(self, alpn: str = "h2", ca: str = "") -> tuple[Ends, int]:
        """A listener, and its port."""
        from twisted.internet import reactor

        p = pki()
        ends = Ends()
        description = (
            f"mtls:0:interface=127.0.0.1:cert={p.frontend_cert}:key={p.frontend_key}:ca={ca}"
            f":alpn={alpn}"
        )
        port = await serverFromString(reactor, description).listen(ends)
        self.addCleanup(port.stopListening)
        return ends, port.getHost().port

    async def s_client(self, port: int, *arguments: str, own: Sequence[str] = ()) -> str:
        """What s_client printed."""
        from twisted.internet import reactor

        if own:
            arguments += ("-cert", own[0], "-key", own[1])
        assert OPENSSL is not None
        place = ["-connect", f"127.0.0.1:{port}", "-CAfile", pki().frontend_ca, "-ign_eof"]
        out, err, _ = await getProcessOutputAndValue(
            OPENSSL, ["s_client", *place, *arguments], reactor=reactor
        )
        return bytes(out + err).decode("utf-8", "replace")

    async def connect(
        self, *arguments: str, alpn: str = "h2", own: Sequence[str] = (), ca: str = ""
    ) -> tuple[str, str]:
        """What s_client printed, and how its connection to a new listener ended for us."""
        ends, port = await self.listen(alpn, ca)
        output = await self.s_client(port, *arguments, own=own)
        (end,) = ends.ends
        return output, end

    async def refused(self, alert: int, why: str, *arguments: str, own: Sequence[str] = ()) -> None:
        """The handshake fails with this alert, and for this reason."""
        output, end = await self.connect(*arguments, own=own, ca=pki().frontend_ca)
        self.assertIn(f"SSL alert number {alert}", output)
        self.assertNotIn("chosen:", output)
        self.assertIn(why, end)

    @property
    def good(self) -> tuple[str, str]:
        return pki().frontend_client_cert, pki().frontend_client_key

    async def test_served(self) -> None:
        """With the right certificate, TLS 1.2 and 1.3 are served."""
        for version, name in (("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")):
            output, _ = await self.connect(
                version, "-alpn", "h2", own=self.good, ca=pki().frontend_ca
            )
            self.assertIn(f"New, {name}", output)
            self.assertIn("Verify return code: 0 (ok)", output)
            self.assertIn("chosen: h2", output)

    async def test_sessions_are_not_resumed(self) -> None:
        """No session is kept for TLS 1.2; a client resuming TLS 1.3 gets a full handshake."""
        _, port = await self.listen(ca=pki().frontend_ca)
        session = Path(self.mktemp())
        await self.s_client(port, "-tls1_2", "-sess_out", str(session), own=self.good)
        self.assertFalse(session.exists())
        await self.s_client(port, "-tls1_3", "-sess_out", str(session), own=self.good)
        output = await self.s_client(port, "-tls1_3", "-sess_in", str(session), own=self.good)
        self.assertIn("chosen: nothing", output)
        self.assertIn("New, TLSv1.3", output)
        self.assertNotIn("Reused", output)

    async def test_old_tls(self) -> None:
        """TLS 1.1 is refused with the alert protocol_version."""
        await self.refused(
            70,
            "no TLS version that we allow",
            "-tls1_1",
            "-cipher",
            "ALL:@SECLEVEL=0",
            own=self.good,
        )

    async def test_no_certificate(self) -> None:
        """Without a certificate: certificate_required in TLS 1.3, handshake_failure in 1.2."""
        await self.refused(116, "no client certificate was sent")
        await self.refused(40, "no client certificate was sent", "-tls1_2")

    async def test_unknown_authority(self) -> None:
        """A certificate of another authority is refused with the alert unknown_ca."""
        own = (pki().other_client_cert, pki().other_client_key)
        await self.refused(48, "unknown certificate authority (CN=other-client)", own=own)

    async def test_expired(self) -> None:
        """An expired certificate is refused with the alert certificate_expired."""
        own = (pki().expired_client_cert, pki().expired_client_key)
        await self.refused(45, "client certificate has expired (CN=expired-client)", own=own)

    async def test_wrong_use(self) -> None:
        """A server's certificate is refused with the alert unsupported_certificate."""
        own = (pki().frontend_cert, pki().frontend_key)
        await self.refused(43, "not meant for this use (CN=proxy-frontend)", own=own)

    async def test_alpn_refused(self) -> None:
        """An offer of other protocols only is refused with no_application_protocol."""
        for alpn, offer in (("h2", "foo"), ("http/1.1", "h2")):
            output, end = await self.connect("-alpn", offer, alpn=alpn)
            self.assertIn("SSL alert number 120", output)
            self.assertIn(f"only '{offer}'", end)

    async def test_alpn_not_negotiated(self) -> None:
        """No offer, or http/1.1 to an h2 listener, ends the handshake without a protocol."""
        for arguments in ((), ("-alpn", "http/1.1")):
            output, _ = await self.connect(*arguments)
            self.assertIn("No ALPN negotiated", output)
            self.assertIn("chosen: nothing", output)
