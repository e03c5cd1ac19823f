"""``python -m mlbench`` is the command ``mlbench``."""

import sys

from mlbench.cli import main

sys.exit(main())
