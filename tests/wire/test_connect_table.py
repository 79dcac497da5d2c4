"""Odd request heads, and what becomes of them: a table.

What is served and what is refused is what upstream's server (Go's net/http) serves and refuses;
docs/protocol.md says where we differ on purpose. In both columns `|` is a CR LF. An outcome is

    dial ADDRESS + EARLY   the dial that is asked for, and the first bytes of its tunnel
    STATUS kept            an answer behind which another request may follow
    STATUS                 an answer that ends the connection
    waits                  the head is not over
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from konnect.wire.connect import ConnectRequest, HeadReader, Refused

HEADS = {
    "CONNECT a:1 HTTP/1.1|Host: a||": "dial a:1",
    "CONNECT a:1 HTTP/1.1||": "dial a:1",
    "CONNECT a:1 HTTP/1.1\nHost: a\n\n": "dial a:1",
    "CONNECT a:1 HTTP/1.1\n\n": "dial a:1",
    "CONNECT a:1 HTTP/1.1\n\nearly": "dial a:1 + early",
    "CONNECT a:1 HTTP/1.1\n\n\n|\n": "dial a:1 + \n|\n",
    "CONNECT a:1 HTTP/1.1|Host: a\n\nearly": "dial a:1 + early",
    "CONNECT a:1 HTTP/1.1\nHost: a||early": "dial a:1 + early",
    "CONNECT a:1 HTTP/1.1|Host: a|\nearly": "dial a:1 + early",
    "CONNECT a:1 HTTP/1.1\nHost: a\n|early": "dial a:1 + early",
    "CONNECT a:1 HTTP/1.1\n||": "dial a:1 + |",
    "CONNECT a:1 HTTP/1.1\n|GET b:2 HTTP/1.1||": "dial a:1 + GET b:2 HTTP/1.1||",
    "CONNECT a:1 HTTP/1.1\rHost: a\r\r": "waits",
    "CONNECT a:1 HTTP/1.1\r|Host: a||": "400",
    "CONNECT a:1 HTTP/1.1|A: b\r||": "400",
    "CONNECT a:1 HTTP/1.1|A: b\rc||": "400",
    "CONNECT a:1 HTTP/1.1|A: b|\r||": "400",
    "CONNECT a:1 HTTP/1.1|A\rB: c||": "400",
    "CONNECT a:1 HTTP/1.1|\r\r\n|": "400",
    "CONNECT a:1 HTTP/1.1|A: b\n c||": "dial a:1",
    "CONNECT a:1 HTTP/1.1|A: b": "waits",
    "CONNECT a:1 HTTP/1.1\nA: b\n": "waits",
    "CONNECT a:1 HTTP/1.1|A: b|\r": "waits",
    "CONNECT a:1 HTTP/1.1||\r": "dial a:1 + \r",
    "CONNECT a:1 HTTP/1.1||CONNECT b:2 HTTP/1.1||": "dial a:1 + CONNECT b:2 HTTP/1.1||",
    "CONNECT a:1 HTTP/1.1||\x00": "dial a:1 + \x00",
    "\rCONNECT a:1 HTTP/1.1||": "400",
    "|CONNECT a:1 HTTP/1.1||": "400",
    "\nCONNECT a:1 HTTP/1.1||": "400",
    " CONNECT a:1 HTTP/1.1||": "400",
    "\tCONNECT a:1 HTTP/1.1||": "400",
    "\xef\xbb\xbfCONNECT a:1 HTTP/1.1||": "400",
    "CONNECT\ta:1\tHTTP/1.1||": "400",
    "CONNECT a:1|": "400",
    "CONNECT|": "400",
    "CONNECT  HTTP/1.1||": "dial ",
    " |": "400",
    "GET /|": "400",
    "hello|": "400",
    "SSH-2.0-x|": "400",
    "PROXY TCP4 1.2.3.4 1.2.3.4 1 2|CONNECT a:1 HTTP/1.1||": "400",
    "PRI * HTTP/2.0||SM||": "505",
    "GET / HTTP/1.1\nHost: a\n\n": "405 kept",
    "GET / HTTP/1.1|Host: a||CONNECT a:1 HTTP/1.1||": "405 kept",
    "GET / HTTP/1.1|Host: a|||": "405 kept",
    "\x00": "400",
    "\x16": "waits",
    "\x16\x03\x01": "400",
    "\x05\x01\x00": "400",
    "\x04\x01\x00P": "400",
}
"""Whole messages, and what becomes of them."""

METHODS = {
    "CONNECT": "dial a:1",
    "connect": "405 kept",
    "Connect": "405 kept",
    "GET": "405 kept",
    "HEAD": "405 kept",
    "POST": "405 kept",
    "PRI": "405 kept",
    "FOO": "405 kept",
    "A!#$%&'*+-.^_`~9": "405 kept",
    "": "400",
    "CON(NECT": "400",
    "CONN\xc9CT": "400",
    '"GET"': "400",
    "C@NNECT": "400",
    "CON\tNECT": "400",
}
"""With the target `/`, and `a:1` for CONNECT."""

VERSIONS = {
    "HTTP/1.0": "dial a:1",
    "HTTP/1.1": "dial a:1",
    "HTTP/1.2": "dial a:1",
    "HTTP/1.9": "dial a:1",
    "HTTP/0.0": "505",
    "HTTP/0.9": "505",
    "HTTP/2.0": "505",
    "HTTP/3.0": "505",
    "HTTP/2": "400",
    "HTTP/1": "400",
    "HTTP/01.1": "400",
    "HTTP/1.10": "400",
    "HTTP/10.1": "400",
    "http/1.1": "400",
    "HTTPS/1.1": "400",
    "HTTP/1,1": "400",
    "HTTP/1.x": "400",
    "HTTP/1.-1": "400",
    "HTTP /1.1": "400",
    "HTTP/ 1.1": "400",
    " HTTP/1.1": "400",
    "\tHTTP/1.1": "400",
    "HTTP/1.1 ": "400",
    "HTTP/1.1\t": "400",
    "HTTP/1.1 x": "400",
    "": "400",
}
"""Of a CONNECT to `a:1`."""

TARGETS = {
    "[::1]:1": "dial [::1]:1",
    "[::1]": "dial [::1]",
    "[::1]:": "dial [::1]:",
    "[::1%25lo]:1": "dial [::1%lo]:1",
    "[::1%2525lo]:1": "dial [::1%25lo]:1",
    "[::ffff:127.0.0.1]:1": "dial [::ffff:127.0.0.1]:1",
    "[::1.2.3.4]:1": "dial [::1.2.3.4]:1",
    "[::01]:1": "dial [::01]:1",
    "[::1%lo]:1": "400",
    "[fe80::1%25]:1": "400",
    "[fe80::1%25a%20b]:1": "400",
    "::1:1": "400",
    "[127.0.0.1]:1": "400",
    "[::G]:1": "400",
    "[v1.x]:1": "400",
    "[]:1": "400",
    "[::1": "400",
    "[:1": "400",
    "::1]:1": "400",
    "[::1]x:1": "400",
    "x[::1]:1": "400",
    "[::1]:1:1": "400",
    "a": "dial a",
    "a:": "dial a:",
    "a:0": "dial a:0",
    "a:00001": "dial a:00001",
    "a:99999": "dial a:99999",
    "a:-1": "400",
    "a:+1": "400",
    "a:http": "400",
    "a: 1": "400",
    "a:%31": "400",
    "a:1:1": "400",
    "a:b:c": "400",
    ":1": "dial :1",
    ":": "dial :",
    "*": "dial *",
    "A.B:1": "dial A.B:1",
    "a.:1": "dial a.:1",
    "127.1:1": "dial 127.1:1",
    "u:p@a:1": "dial a:1",
    "u@a:1": "dial a:1",
    "@a:1": "dial a:1",
    "u@@a:1": "dial a:1",
    "u%40:p@a:1": "dial a:1",
    "u^@a:1": "400",
    "u/@a:1": "dial u",
    "u?@a:1": "dial u",
    "%61:1": "400",
    "a%3a1": "400",
    "%2f:1": "400",
    "%zz:1": "400",
    "%": "400",
    "%25:1": "dial %:1",
    "%C3%A9:1": "dial \xe9:1",
    "\xc3\xa9:1": "dial \xe9:1",
    "\xff:1": "400",
    "%ff:1": "400",
    "a:1/": "dial a:1",
    "a:1/x?y#z": "dial a:1",
    "a:1?x": "dial a:1",
    "a:1?%zz": "dial a:1",
    "a:1/%zz": "400",
    "a:1/%": "400",
    "a:1/\xff": "dial a:1",
    "a:1#x": "400",
    "#": "400",
    "a:1\x00": "400",
    "a:\x7f1": "400",
    "a b:1": "400",
    "http://a:1/": "dial http:",
    "http:": "dial http:",
    "//a:1/": "dial h:2",
    "/": "dial h:2",
    "/x": "dial h:2",
    "/%zz": "400",
    "?": "dial h:2",
    "?x": "dial h:2",
    "a\\b:1": "400",
    "{a}:1": "400",
    "a^b:1": "400",
    "a`b:1": "400",
    "<a>:1": "dial <a>:1",
    '"a":1': 'dial "a":1',
    "a;b,c=d!e$f&g'(h)*+~_:1": "dial a;b,c=d!e$f&g'(h)*+~_:1",
}
"""Of a CONNECT with `Host: h:2`."""

URIS = {
    "*": "200 kept",
    "/": "405 kept",
    "/x?y#z": "405 kept",
    "//a": "405 kept",
    "/\xff": "405 kept",
    "http://a/x": "405 kept",
    "http://a": "405 kept",
    "http:": "405 kept",
    "foo:80": "405 kept",
    "a+b.c-d:x": "405 kept",
    "http://[::1]:1/": "405 kept",
    "": "400",
    "a": "400",
    "a:1/%zz": "405 kept",
    "127.0.0.1:1": "400",
    "?x": "400",
    ":x": "400",
    "1:x": "400",
    "/%zz": "400",
    "/x?%zz": "405 kept",
    "http://a:x/": "400",
    "http://[::1": "400",
    "http://a b/": "400",
    "/\x01": "400",
}
"""Targets of OPTIONS."""

HEADERS = {
    "Host: a": ("dial a:1", "405 kept"),
    "Host: ": ("dial a:1", "405 kept"),
    "Host: a b": ("400", "400"),
    "Host: a/b": ("400", "400"),
    "Host: a@b": ("400", "400"),
    "Host: a\tb": ("400", "400"),
    "Host: \xff": ("400", "400"),
    'Host: a"b': ("400", "400"),
    "Host: a#b": ("400", "400"),
    "Host: a?b": ("400", "400"),
    "Host: {a}": ("400", "400"),
    "Host: ^": ("400", "400"),
    "Host: ,~_*%[]": ("dial a:1", "405 kept"),
    "Host: a| b": ("400", "400"),
    "A: b| c": ("dial a:1", "405 kept"),
    "A: b|\tc": ("dial a:1", "405 kept"),
    "A: b| ": ("dial a:1", "405 kept"),
    " A: b": ("400", "400"),
    "\tA: b": ("400", "400"),
    "A : b": ("400", "400"),
    "A\t: b": ("400", "400"),
    "A B: c": ("400", "400"),
    "foo": ("400", "400"),
    ": b": ("400", "400"),
    " : b": ("400", "400"),
    "A: b\x00c": ("400", "400"),
    "A\x00: b": ("400", "400"),
    "A: \x1b": ("400", "400"),
    "A: \x7f": ("400", "400"),
    "A: b\tc": ("dial a:1", "405 kept"),
    "A: b\x0b": ("400", "400"),
    "A: \xff\xfe": ("dial a:1", "405 kept"),
    "\xff: b": ("400", "400"),
    "A(: b": ("400", "400"),
    "A/B: c": ("400", "400"),
    "A_B: c": ("dial a:1", "405 kept"),
    "A:": ("dial a:1", "405 kept"),
    "A:b": ("dial a:1", "405 kept"),
    "Content-Length: 0": ("dial a:1", "405 kept"),
    "Content-Length: 00": ("dial a:1", "405 kept"),
    "Content-Length: 5": ("dial a:1", "405"),
    "Content-Length: 005": ("dial a:1", "405"),
    "Content-Length:  5 ": ("dial a:1", "405"),
    "Content-Length:| 5": ("dial a:1", "405"),
    "Content-Length: 5|Content-Length: 5": ("dial a:1", "405"),
    "Content-Length: 5|Content-Length: 6": ("400", "400"),
    "Content-Length: 5, 5": ("400", "400"),
    "Content-Length: -5": ("400", "400"),
    "Content-Length: +5": ("400", "400"),
    "Content-Length: 0x5": ("400", "400"),
    "Content-Length: five": ("400", "400"),
    "Content-Length:": ("400", "400"),
    "Content-Length: 9223372036854775807": ("dial a:1", "405"),
    "Content-Length: 9223372036854775808": ("400", "400"),
    "Content-Length: 99999999999999999999999": ("400", "400"),
    "Transfer-Encoding: chunked": ("dial a:1", "405"),
    "Transfer-Encoding: ChunKed": ("dial a:1", "405"),
    "Transfer-Encoding: gzip": ("501", "501"),
    "Transfer-Encoding: gzip, chunked": ("501", "501"),
    "Transfer-Encoding: chunked|Transfer-Encoding: chunked": ("501", "501"),
    "Transfer-Encoding: identity": ("501", "501"),
    "Transfer-Encoding:": ("501", "501"),
    "Transfer-Encoding: \x0bchunked": ("400", "400"),
    "Transfer-Encoding: chunked|Content-Length: 5": ("dial a:1", "405"),
    "Transfer-Encoding: chunked|Content-Length: 5|Content-Length: 6": ("400", "400"),
    "Transfer-Encoding: gzip|Content-Length: x": ("501", "501"),
    "Expect: 100-continue": ("dial a:1", "405 kept"),
    "Expect: 100-Continue, x": ("dial a:1", "405 kept"),
    "Expect: x": ("417", "417"),
    "Expect:": ("dial a:1", "405 kept"),
    "Connection: close": ("dial a:1", "405"),
    "Connection: x, Close": ("dial a:1", "405"),
    "Connection: close;x": ("dial a:1", "405 kept"),
    "Connection: Upgrade|Upgrade: websocket": ("dial a:1", "405 kept"),
    "Connection: Upgrade|Upgrade: h2c": ("dial a:1", "405 kept"),
    "Proxy-Authorization: Basic eDp5": ("dial a:1", "405 kept"),
}
"""Lines behind the first, and what becomes of a CONNECT to `a:1` and of a GET."""


def outcome(message: str, step: int = 0) -> str:
    """What becomes of a message that comes in one piece, or in such of `step` bytes."""
    data = message.replace("|", "\r\n").encode("latin-1")
    reader, read = HeadReader(65536), 0
    result: ConnectRequest | Refused | None = None
    while result is None and read < len(data):
        piece = data[read : read + (step or len(data))]
        read += len(piece)
        result = reader.receive(piece)
    if result is None:
        return "waits"
    if isinstance(result, Refused):
        status = result.response.split(b" ")[1].decode()
        return f"{status} kept" if result.keep_alive else status
    early = (result.early + data[read:]).decode("latin-1").replace("\r\n", "|")
    return f"dial {result.address} + {early}" if early else f"dial {result.address}"


class TableTests(SynchronousTestCase):
    """Every row, whole and byte by byte."""

    def check(self, message: str, expected: str) -> None:
        """One message."""
        for step in (0, 1):
            self.assertEqual(outcome(message, step), expected, (message, step))

    def test_heads(self) -> None:
        """Ends of lines, and what is no request."""
        for message, expected in HEADS.items():
            self.check(message, expected)

    def test_methods(self) -> None:
        """Methods have a case, and are looked at before their targets."""
        for method, expected in METHODS.items():
            self.check(
                f"{method} {'a:1' if method == 'CONNECT' else '/'} HTTP/1.1|Host: a||", expected
            )

    def test_versions(self) -> None:
        """Only HTTP/1 is spoken."""
        for version, expected in VERSIONS.items():
            self.check(f"CONNECT a:1 {version}|Host: a||", expected)

    def test_targets(self) -> None:
        """What is dialled."""
        for target, expected in TARGETS.items():
            self.check(f"CONNECT {target} HTTP/1.1|Host: h:2||", expected)

    def test_uris(self) -> None:
        """What other methods may ask for."""
        for target, expected in URIS.items():
            self.check(f"OPTIONS {target} HTTP/1.1|Host: a||", expected)

    def test_headers(self) -> None:
        """Host, folds, bytes that may not be there, lengths, encodings, expectations."""
        for lines, (connect, get) in HEADERS.items():
            self.check(f"CONNECT a:1 HTTP/1.1|{lines}||", connect)
            host = "" if lines.startswith("Host") else "Host: a|"
            self.check(f"GET / HTTP/1.1|{host}{lines}||", get)

    def test_http_1_0(self) -> None:
        """It knows no transfer encodings, needs no Host, and is answered once."""
        self.check("CONNECT a:1 HTTP/1.0|Transfer-Encoding: gzip||", "dial a:1")
        self.check("GET / HTTP/1.0||", "405")
        self.check("GET / HTTP/1.0|Connection: keep-alive||", "405")
        self.check("GET / HTTP/1.1||", "400")
        self.check("CONNECT a:1 HTTP/1.1|Host: a|Host: a||", "400")
        self.check("POST / HTTP/1.1|Host: a|Content-Length: 9||GET / HTTP/1.1|Host: a||", "405")
