"""konnect's tests; the runner is trial."""

from konnect.net.clock import steady
from tests.functional.waiting import the_reactor

# Trial's own limits are timers too: on a machine whose clock is set back they would not end a test.
steady(the_reactor())
