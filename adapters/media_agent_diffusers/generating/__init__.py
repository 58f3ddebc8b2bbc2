"""From a request to the calls of a pipeline, and to the frames of a video."""
