"""`python -m sentei` is the command `sentei`."""

import sys

from sentei.cli import main

if __name__ == "__main__":
    sys.exit(main())
