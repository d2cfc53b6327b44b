"""`python -m live` is the `faceshot` command."""

import sys

from live.cli import main

sys.exit(main())
