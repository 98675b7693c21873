"""Indexes of known images, and holding new ones against them. No Beam."""
