"""Captions of a shard: asked for once, judged, and made into texts."""
