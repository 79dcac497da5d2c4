"""Tests of konnect.wire.metadata."""

from __future__ import annotations

from urllib.parse import urlencode

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from konnect.wire.metadata import (
    AdmissionError,
    HelloError,
    Identifiers,
    ProxyHello,
    agent_hello,
    bearer_token,
    parse_agent_hello,
    parse_identifiers,
    parse_proxy_hello,
    proxy_hello,
)

WORDS = st.lists(st.text(max_size=10), max_size=4)


class IdentifiersTests(SynchronousTestCase):
    def test_all_kinds(self) -> None:
        """Each kind may be repeated and keeps its order; unknown keys mean nothing."""
        self.assertEqual(
            parse_identifiers(
                "ipv4=1.2.3.4&host=b&host=a&ipv6=::1&cidr=10.0.0.0/8&uid=x&default-route=true&z"
            ),
            Identifiers(("1.2.3.4",), ("::1",), ("b", "a"), ("10.0.0.0/8",), True),
        )

    def test_empty(self) -> None:
        """No text, empty pairs and valueless keys are no errors."""
        self.assertEqual(parse_identifiers(""), Identifiers())
        self.assertEqual(parse_identifiers("&&"), Identifiers())
        self.assertEqual(parse_identifiers("host&=x"), Identifiers(host=("",)))

    def test_unescaping(self) -> None:
        """Plus is a space, percent escapes are bytes, keys are escaped too; the first = divides."""
        self.assertEqual(
            parse_identifiers("h%6Fst=a+b%2Bc%3D=d&host=%C3%BC").host, ("a b+c==d", "ü")
        )

    def test_values_are_not_validated(self) -> None:
        """Any value is kept as it is, bytes that are no UTF-8 included."""
        self.assertEqual(parse_identifiers("ipv6=:::::").ipv6, (":::::",))
        self.assertEqual(
            parse_identifiers("host=%FF").host[0].encode("utf-8", "surrogateescape"), b"\xff"
        )

    def test_default_route(self) -> None:
        """The first value counts, when it is one of Go's words for true."""
        for value in ("1", "t", "T", "TRUE", "true", "True"):
            self.assertTrue(parse_identifiers(f"default-route={value}").default_route)
        for value in ("", "0", "yes", "tRUE", "false", "false&default-route=true"):
            self.assertFalse(parse_identifiers(f"default-route={value}").default_route)

    def test_errors(self) -> None:
        """A semicolon and a bad escape are refused in upstream's words."""
        start = "fail to parse url encoded string: "
        for text, error in (
            ("host=a;b", "invalid semicolon separator in query"),
            ("host=a%zz", 'invalid URL escape "%zz"'),
            ("host=a%zzz", 'invalid URL escape "%zz"'),
            ("host=a%1", 'invalid URL escape "%1"'),
            ("host=%", 'invalid URL escape "%"'),
            ("%=x&host=%q1", 'invalid URL escape "%"'),
            ("host=%zz&a;b", "invalid semicolon separator in query"),
        ):
            with self.assertRaises(AdmissionError) as caught:
                parse_identifiers(text)
            self.assertEqual(str(caught.exception), start + error, text)

    @given(WORDS, WORDS, st.booleans())
    def test_round_trip(self, hosts: list[str], ipv4: list[str], default_route: bool) -> None:
        """What others encode is read back."""
        pairs = [("host", h) for h in hosts] + [("ipv4", a) for a in ipv4]
        pairs.append(("default-route", str(default_route).lower()))
        self.assertEqual(
            parse_identifiers(urlencode(pairs)),
            Identifiers(ipv4=tuple(ipv4), host=tuple(hosts), default_route=default_route),
        )


class AgentHelloTests(SynchronousTestCase):
    def refusal(self, *metadata: tuple[str, str]) -> str:
        with self.assertRaises(AdmissionError) as caught:
            parse_agent_hello(metadata)
        return str(caught.exception)

    def test_round_trip(self) -> None:
        """What an agent says is what a proxy reads."""
        metadata = agent_hello("me", "host=a", "secret")
        hello = parse_agent_hello(metadata)
        self.assertEqual((hello.agent_id, hello.identifiers), ("me", Identifiers(host=("a",))))
        self.assertEqual(bearer_token(metadata), "secret")

    def test_identifiers_are_sent_when_empty(self) -> None:
        """The key of the identifiers is always there, that of the token only with one."""
        self.assertEqual(agent_hello("me", ""), [("agentid", "me"), ("agentidentifiers", "")])

    def test_identifiers_may_be_missing(self) -> None:
        """An agent without identifiers has none."""
        self.assertEqual(parse_agent_hello([("agentid", "")]).identifiers, Identifiers())

    def test_refusals(self) -> None:
        """Missing and repeated values are refused in upstream's words."""
        self.assertEqual(self.refusal(), "expected one agent ID in the context, got []")
        self.assertEqual(
            self.refusal(("agentid", "x"), ("agentid", "y")),
            "expected one agent ID in the context, got [x y]",
        )
        self.assertEqual(
            self.refusal(
                ("agentid", "x"), ("agentidentifiers", "host=a"), ("agentidentifiers", "host=b")
            ),
            "expected at most one set of agent identifiers in the context, got [host=a host=b]",
        )
        self.assertEqual(
            self.refusal(("agentid", "x"), ("agentidentifiers", "a;b")),
            "fail to parse url encoded string: invalid semicolon separator in query",
        )

    def test_a_bad_token_is_no_refusal(self) -> None:
        """Where no token is demanded, a bad one does not matter."""
        hello = parse_agent_hello([("agentid", "x"), ("authorization", "Basic y")])
        self.assertEqual(hello.agent_id, "x")


class BearerTokenTests(SynchronousTestCase):
    def test_tokens(self) -> None:
        """The token is what follows the scheme, untrimmed, even nothing."""
        self.assertEqual(bearer_token([("authorization", "Bearer a b ")]), "a b ")
        self.assertEqual(bearer_token([("authorization", "Bearer ")]), "")

    def test_refusals(self) -> None:
        """No token, several and a wrong scheme are refused in upstream's words."""
        for values, text in (
            ([], "Authentication context was not found in metadata"),
            (["Bearer a", "Bearer b"], "too many (2) tokens are received"),
            (["bearer a"], 'received token does not have "Bearer " prefix'),
            (["Bearer"], 'received token does not have "Bearer " prefix'),
        ):
            with self.assertRaises(AdmissionError) as caught:
                bearer_token([("authorization", value) for value in values])
            self.assertEqual(str(caught.exception), text)


class ProxyHelloTests(SynchronousTestCase):
    def refusal(self, *metadata: tuple[str, str]) -> str:
        with self.assertRaises(HelloError) as caught:
            parse_proxy_hello(metadata)
        return str(caught.exception)

    def test_round_trip(self) -> None:
        """What a proxy says is what an agent reads."""
        self.assertEqual(parse_proxy_hello(proxy_hello("s", 3)), ProxyHello("s", 3))

    def test_counts(self) -> None:
        """A count is what Go takes for a decimal integer."""
        for text, count in (("0", 0), ("-1", -1), ("+2", 2), ("007", 7)):
            metadata = [("serverid", "s"), ("servercount", text)]
            self.assertEqual(parse_proxy_hello(metadata).server_count, count)

    def test_refusals(self) -> None:
        """What is missing, repeated or no number is refused in upstream's words."""
        self.assertEqual(self.refusal(), "expected one server ID in the context, got []")
        self.assertEqual(
            self.refusal(("serverid", "a"), ("serverid", "b")),
            "expected one server ID in the context, got [a b]",
        )
        self.assertEqual(self.refusal(("serverid", "a")), "expected one server count, got 0")
        for text in ("", "x", "1.5", "1_0", " 1", "٣", "0x1"):
            self.assertEqual(
                self.refusal(("serverid", "a"), ("servercount", text)),
                f'strconv.Atoi: parsing "{text}": invalid syntax',
            )
        for text in (str(2**63), "-" + "9" * 30, "9" * 5000):
            self.assertEqual(
                self.refusal(("serverid", "a"), ("servercount", text)),
                f'strconv.Atoi: parsing "{text}": value out of range',
            )
