"""One stage a file; stages meet in tables and never import each other."""
