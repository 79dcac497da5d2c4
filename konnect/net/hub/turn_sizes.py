"""How much a hub does in one turn, and in how many, before others have theirs."""

from __future__ import annotations

TURNS = 64
"""Polls before the stock reactor goes on."""

EVENTS = 32
"""Channels served in one turn. What they write to the other half of konnect leaves at its end: the
fewer they are, the sooner that one has work. 64 echoes over a unix socket came to 1.07 and 1.26
times the rate that 256 gave, over gRPC to 1.16 with 0.61 of the p99, 64 new connections to 1.04 and
1.05 (measured; medians of seven and ten). With 16 and fewer there are too many turns."""

SOME = 4
"""Channels of a turn from which on it looks whether others have become ready meanwhile, and serves
them too before it flushes: what leaves is larger, and the other half of konnect is woken less
often. A turn of 64 echoes over gRPC had 5 of them on the average. They came to 1.18 to 1.26 of the
rate at 0.75 to 0.78 of the CPU for each, over TLS to 1.22, there with 0.70 of the p99; 16 new
connections over a unix socket to 1.06, over gRPC to 0.95 to 0.98 (measured; medians of four to
nine). With 2 the other half waited longer for the first of few."""

ENOUGH = 16
"""Channels of a turn that looks no more."""

LOOKS = 2
"""Looks of one turn for more."""

BRIEF = 200e-6
"""Seconds of a turn after which it looks no more: the work of new connections takes longer than
that of echoes, and TLS handshakes much longer. With 50 us 64 echoes came to 0.87 to 0.95 of the
rate, 16 new connections over gRPC to 0.97 to 1.07 (measured; medians of six to nine)."""

SHARE = 0.02
"""Seconds after which no further turn begins: a turn of TLS handshakes is a long one."""

HANDSHAKES = 16
"""Steps of TLS handshakes in one turn; one with an RSA key costs 1.1 ms (measured)."""
