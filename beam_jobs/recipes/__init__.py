"""Published recipes, one YAML file each."""
