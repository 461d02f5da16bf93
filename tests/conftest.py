"""Settings for all tests.

Fixtures live beside the tests that use them; what everybody would need is in `eventcore.testing`,
because users of eventcore test with it too.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# No deadline per example: a shared machine is slow now and then, and that is no fault of the code.
settings.register_profile(
    "default", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.register_profile("thorough", settings.get_profile("default"), max_examples=2_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))
