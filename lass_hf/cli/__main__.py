"""`python -m lass_hf.cli`: the program `lass-hf`, for launchers such as torchrun."""

import sys

from . import main

if __name__ == "__main__":
    sys.exit(main())
