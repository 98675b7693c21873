"""The embedded world: pictures, pages and their ground truth, drawn by code."""
