"""Apache Beam jobs over a run folder: the only package that imports Beam."""
