"""What becomes of what a backend made: checked, marked, measured, put in its place and signed."""
