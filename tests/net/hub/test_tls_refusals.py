"""A client whose handshake is refused learns why, whatever it has written meanwhile."""

from __future__ import annotations

import datetime
import os
import socket
import ssl

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtensionOID
from OpenSSL import SSL
from twisted.internet.error import ConnectionAborted, ConnectionLost

from konnect.net import tls as konnect_tls
from konnect.net.diagnosis import TlsRefused, explain
from konnect.net.hub import tls
from konnect.net.hub.loop import hub_of
from tests.certificates import pki
from tests.net.hub.peers import TlsRecorder
from tests.net.hub.test_tls_streams import TlsCase, client_context


def strange_certificate() -> bytes:
    """PEM of a key and a certificate of its own, one of whose names is an EDIPartyName."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "strange")])
    now = datetime.datetime.now(datetime.UTC)
    party = bytes.fromhex("3007a505a103130178")  # [5] { [1] PrintableString "x" }
    names = x509.UnrecognizedExtension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, party)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(names, critical=False)
        .sign(key, SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return private + certificate.public_bytes(Encoding.PEM)


class RefusalTests(TlsCase):
    """Clients without a certificate, on the hub."""

    async def test_reads_why(self) -> None:
        """A client that has written behind its handshake still gets the alert, and no reset; it is
        dropped when it has closed."""
        protocol, remote = await self.accepted(TlsRecorder)
        await remote.secure(client_context(("", "")), server=False, name="localhost")
        await remote.say(b"x" * 20_000)
        with self.assertRaises(ssl.SSLError) as caught:
            await remote.hear(1)
        self.assertIn("certificate required", str(caught.exception))
        self.assertFalse(protocol.lost)
        remote.close()
        self.assertEqual(await self.lost(protocol), SSL.Error)

    async def test_stays(self) -> None:
        """One that neither closes nor reads is dropped soon, with the reason."""
        self.patch(tls, "REFUSAL", 0.01)
        protocol, remote = await self.accepted(TlsRecorder)
        await remote.secure(client_context(("", "")), server=False, name="localhost")
        self.assertEqual(await self.lost(protocol), SSL.Error)
        self.assertIn("no client certificate", explain(protocol.reasons[0]))

    async def test_is_aborted(self) -> None:
        """Nothing is left of the wait when we drop it ourselves."""
        protocol, remote = await self.accepted(TlsRecorder)
        await remote.secure(client_context(("", "")), server=False, name="localhost")
        await remote.say(b"x")
        with self.assertRaises(ssl.SSLError):
            await remote.hear(1)
        protocol.wire.abortConnection()
        self.assertEqual(await self.lost(protocol), ConnectionAborted)

    async def test_strange_certificate(self) -> None:
        """A certificate that only OpenSSL can read is refused in one line like any other: nobody
        knows who sends it."""
        path = os.path.join(self.directory, "strange.pem")
        with open(path, "wb") as file:
            file.write(strange_certificate())
        protocol, remote = await self.accepted(TlsRecorder)
        try:
            await remote.secure(client_context((path, path)), server=False, name="localhost")
        except ssl.SSLError:
            pass
        remote.close()
        self.assertEqual(await self.lost(protocol), TlsRefused)
        self.assertIn("client certificate does not parse", explain(protocol.reasons[0]))

    async def test_gone_at_once(self) -> None:
        """A server that is gone before the handshake begins is not told of within `begin`: whoever
        connects has no connection yet."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.close()
        files = pki()
        context = konnect_tls.client_context("localhost", files.frontend_ca)
        protocol = TlsRecorder()
        self._protocols.append(protocol)
        wire = tls.TlsTransport(hub_of(self.reactor), ours, protocol, (socket.AF_UNIX, ""), context)
        wire.begin()
        self.assertEqual(protocol.calls.count("connectionLost"), 0)
        self.assertEqual(await self.lost(protocol), ConnectionLost)
