"""`python -m live` is the `faceshot` command."""

import sys

try:
    from live.cli import main
except KeyboardInterrupt:  # Ctrl-C before `main` can answer to it
    sys.exit(130)

sys.exit(main())
