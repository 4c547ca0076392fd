"""``python -m drills``."""

import sys

from drills.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
