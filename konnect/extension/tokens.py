"""Who is asked whether an agent's token is good: an API server, reached by a plugin.

`--agent-namespace`, `--agent-service-account` and `--authentication-audience` ask for the plugin
with the name `kubernetes`; the distribution konnect-kubernetes has it. This module is the interface
alone. What an answer means is decided in `konnect.wire.token_review`; how many questions are asked
at once, and how long an answer is good for, in `konnect.proxy.reviews`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.plugin import IPlugin
from zope.interface import Attribute, Interface

from konnect.extension.api import ApiAccess
from konnect.wire.token_review import TokenReview


class ITokenReviews(IPlugin):
    """A way to have tokens reviewed; a plugin provides this."""

    name = Attribute("A str: what the proxy asks for, `kubernetes`.")

    def reviewer(reactor: Any, access: ApiAccess, at_once: int) -> ITokenReviewer:
        """
        What asks one API server.

        Nothing is sent and no thread begins before the first review.

        :param reactor: the program's reactor: timers, and threads.
        :param at_once: how many reviews there may be at a time; the proxy keeps to it.
        :raises ValueError: for settings that cannot be used; the text says which, and what to do.
        """


class ITokenReviewer(Interface):
    """One API server that knows tokens."""

    def turn() -> Deferred[None]:
        """
        Fires when the next review may begin: rates are kept here, and pauses that the API server
        asks for.

        The proxy asks for one turn at a time, and cancels one that it has no use for any more.
        """

    def review(token: str, audiences: Sequence[str]) -> Deferred[TokenReview]:
        """
        Ask about one token, in a turn.

        :param audiences: whom the token may be meant for.
        :returns: fires within seconds, or fails with `token_review.ReviewFailed`; with
            `ReviewPutOff` where another turn may succeed. Cancelling it gives the answer up.
        """

    def stop() -> Deferred[None]:
        """
        Ask no more; the Deferred never fails, and takes no longer than a few seconds.
        """
