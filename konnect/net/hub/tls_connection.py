"""OpenSSL's connection with two calls more: many records read at once, and a write with few steps.

pyOpenSSL makes a buffer for each record that is read, copies the bytes out of it, and asks after
each success which error there was. A read here goes into one buffer that is used again, and errors
are asked for when there are any: eight uploads took 0.88 to 0.90 of the CPU, eight downloads 0.94
to 0.98 (measured).

This takes names of pyOpenSSL's that are not public; Twisted takes some of them too. Where one is
missing, `Connection` is `PlainConnection`, which does the same by public calls
(docs/decisions/0012-openssl-calls.md).
"""

from __future__ import annotations

from OpenSSL import SSL

from konnect.net.hub.reads import LINK_RECORDS, RECORD

_pad = memoryview(bytearray(LINK_RECORDS * RECORD))
"""What all connections read into, one after the other: each copies its bytes before it returns."""


class PlainConnection(SSL.Connection):
    """By pyOpenSSL's public calls."""

    def read_records(self, most: int, short: int) -> tuple[bytes, SSL.Error | None]:
        """
        Read records until there is no whole one.

        :param most: read no more than so many of them, up to `LINK_RECORDS`.
        :param short: read no further than one of less than so many bytes.

        Returns their bytes, and what OpenSSL said in the place of more: as `recv` raises it.
        """
        size = 0
        try:
            for _ in range(min(most, LINK_RECORDS)):
                got = self.recv_into(_pad[size : size + RECORD])
                size += got
                if got < short:
                    break
        except SSL.Error as error:
            return bytes(_pad[:size]), error.with_traceback(None)
        return bytes(_pad[:size]), None

    def write_records(self, data: bytes | memoryview) -> int:
        """Write `data`; how much of it is taken. Raises as `send` does."""
        return self.send(data)


class DirectConnection(PlainConnection):
    """By OpenSSL's own."""

    def read_records(self, most: int, short: int) -> tuple[bytes, SSL.Error | None]:
        """See `PlainConnection`."""
        ssl = self._ssl
        size, left = 0, min(most, LINK_RECORDS)
        got = _read(ssl, _place, RECORD)  # OpenSSL is told a place, and not where the pad ends
        while got > 0:
            size += got
            left -= 1
            if got < short or not left:
                return _pad[:size].tobytes(), None
            got = _read(ssl, _place + size, RECORD)
        try:
            self._raise_ssl_error(ssl, got)
        except SSL.Error as error:
            return bytes(_pad[:size]), error.with_traceback(None)
        return bytes(_pad[:size]), None

    def write_records(self, data: bytes | memoryview) -> int:
        """See `PlainConnection`."""
        ssl = self._ssl
        taken: int
        if type(data) is bytes:
            taken = _write(ssl, data, len(data))
        else:
            with _from_buffer(data) as place:
                taken = _write(ssl, place, len(data))
        if taken <= 0:
            self._raise_ssl_error(ssl, taken)
        return taken


def _directly() -> bool:
    """Whether pyOpenSSL has all that `DirectConnection` takes of it."""
    connection = SSL.Connection(SSL.Context(SSL.TLS_METHOD), None)
    names = hasattr(connection, "_ssl") and hasattr(connection, "_raise_ssl_error")
    return names and hasattr(lib, "SSL_read") and hasattr(lib, "SSL_write")


Connection: type[PlainConnection] = PlainConnection
"""What the hub's transports are made on."""
try:
    from OpenSSL._util import ffi, lib

    if _directly():
        _read, _write = lib.SSL_read, lib.SSL_write
        _from_buffer = ffi.from_buffer
        _place = _from_buffer(_pad)
        Connection = DirectConnection
except (ImportError, AttributeError):
    pass
