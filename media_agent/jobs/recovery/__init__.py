"""Where accepted work is, and finding it again when its reply was lost."""
