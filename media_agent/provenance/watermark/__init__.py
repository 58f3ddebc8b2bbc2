"""An imperceptible mark in the frames that finds the job which made a video. Needs numpy."""
