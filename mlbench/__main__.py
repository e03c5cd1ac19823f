"""``python -m mlbench`` is the command ``mlbench``."""

import sys

from mlbench.commands.cli import main

sys.exit(main())
