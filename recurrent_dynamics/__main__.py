"""`python -m recurrent_dynamics` is the command `recurrent-dynamics`."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
