"""Videos signed as C2PA defines it, and what signed videos say."""
