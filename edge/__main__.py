"""``python -m edge``."""

import sys

from edge.commands import main

sys.exit(main())
