"""From pages, archives and tables to rows of image and text. No Beam."""
