"""What tests of token reviews put in the place of the plugin."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.internet.defer import Deferred, succeed

from konnect.wire.token_review import TokenReview


class FakeReviewer:
    """An `ITokenReviewer` that asks a function. `turn` may be replaced: all have one at once."""

    def __init__(self, review: Callable[[str, Sequence[str]], Deferred[TokenReview]]) -> None:
        self.review = review
        self.turn: Callable[[], Deferred[None]] = lambda: succeed(None)
