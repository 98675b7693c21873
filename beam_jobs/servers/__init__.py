"""Servers that run a pipeline on this machine: Prism and Spark's job server, and what they need to start."""
