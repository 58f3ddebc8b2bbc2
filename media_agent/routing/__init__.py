"""Who makes it: candidates, ranked, each with its reasons."""
