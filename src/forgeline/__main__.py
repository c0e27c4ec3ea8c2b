"""`python -m forgeline` is the `forgeline` command."""

import sys

from forgeline.cli import main

if __name__ == "__main__":
    sys.exit(main())
