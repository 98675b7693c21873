"""Images (and text) to captions. No Beam."""
