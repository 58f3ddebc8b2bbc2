"""The disk that jobs use: what lies where, what is removed on request, what goes by itself."""
