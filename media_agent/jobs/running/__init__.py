"""The parts of a run: what it works with, what is told, asked, observed and finished."""
