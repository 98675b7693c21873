"""From a URL to training pixels: safe HTTP, decoding, resizing, encoding. No Beam."""
