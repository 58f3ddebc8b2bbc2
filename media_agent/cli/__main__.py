"""Runs the command line: `python -m media_agent.cli`."""

import sys

from media_agent.cli import main

sys.exit(main())
