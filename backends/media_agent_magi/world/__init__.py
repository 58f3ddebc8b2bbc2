"""The world of magi/tiny: captions, renderer, analyser, scores."""
