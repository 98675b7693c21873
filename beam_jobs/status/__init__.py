"""How a run is doing, told from its folder alone."""
