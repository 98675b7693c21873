"""Duplicates and clusters among embeddings and hashes. No Beam."""
