"""The configuration of a site: TOML written by an administrator, and its values."""
