"""Facts that only a whole corpus knows, counted by narrow keys: plain functions on tables and bytes. No Beam."""
