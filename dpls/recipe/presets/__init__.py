"""Configurations that come with the package, a .toml file each."""
