"""The protocol of a backend and its bases: with video, ingest and storage, what plugins import."""
