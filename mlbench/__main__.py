"""``python -m mlbench`` is the command ``mlbench``.

Python puts the current folder first in ``sys.path`` then, where a stranger's modules would stand in
for installed ones; it is taken out again, unless mlbench itself lies there.
"""

import os
import sys

_here, _above = os.getcwd(), os.path.dirname(os.path.dirname(__file__))  # noqa: PTH109, PTH120
if sys.path[:1] == [_here] and not sys.flags.safe_path and not os.path.samefile(_here, _above):  # noqa: PTH121
    del sys.path[0]

from mlbench.commands.cli import main  # noqa: E402 - from where nothing else was imported

sys.exit(main())
