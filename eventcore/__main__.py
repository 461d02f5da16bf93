"""`python -m eventcore` is the command `eventcore`."""

from __future__ import annotations

import sys

from eventcore.server.cli import main

if __name__ == "__main__":
    sys.exit(main())
